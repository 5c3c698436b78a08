"""Fast correlation and convolution of arrays, independent of files, commands and options.

`correlation` checks its arguments and chooses how to compute each kernel: `compiled` calls the C
code in `kernel.c` and `correlate.h` through `library`; `scipy_ways` has Fourier transforms and
SciPy's correlation, which defines the result and replaces the C code where it is not compiled.
`layers` and `bottleneck` are the convolutions of networks.
"""
