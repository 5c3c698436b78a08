#undef REAL
#undef AT
#undef LANES
#undef BLOCK
#undef CONVERT
#undef KNOWN
