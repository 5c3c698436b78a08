"""Images with a class each: folders, idx files, .npz files, and the digits that ship.

`opening` finds what a name means; `folders`, `idx` and `arrays` go through one kind of data item
by item; `gathering` fits every image and copies it once into a temporary file that is mapped into
memory. So the memory that training takes depends on the batch, not on the data, and whatever
happens to the originals later does not matter.
"""
