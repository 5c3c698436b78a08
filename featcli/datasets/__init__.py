"""Labelled data sets: folders, idx files, .npz files, tables of vectors, and the shipped digits.

`opening` opens a data set by its name; `folders`, `idx`, `arrays` and `vectors` each read one kind;
`gathering` preprocesses all images and copies them into a temporary file, which is memory-mapped.
So the memory for training depends on the batch size, not on the amount of data, and later changes
of the original files do no harm.
"""
