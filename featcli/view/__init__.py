"""Drawing arrays as pictures, and reading the values back from such pictures.

`mapping` maps values to 256 levels, `colour` maps levels to colours, `picture` arranges them,
`sheet` draws labelled tiles, `png` writes the file with a record of the drawing, `recovery` reads
values back with that record, `terminal` prepares pictures for the terminal.
"""
