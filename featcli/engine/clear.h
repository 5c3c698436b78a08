#undef REAL
#undef AT
#undef LANES
#undef BLOCK
#undef CONVERT
#undef KNOWN
#undef SIDE
#undef SPAN
