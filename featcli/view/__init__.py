"""Arrays become pictures here, and pictures become arrays again.

`mapping` says which value is which of 256 levels, `colour` which level is which colour,
`picture` lays the levels out, `sheet` draws the labelled tiles, `recovery` reads values back,
`png` keeps the record of it all in the file, `terminal` is for looking without a file.
"""
