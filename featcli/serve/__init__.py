"""`featcli serve`: a page on this machine on which pipelines are built and looked at.

`access` says who may ask, `server` speaks HTTP and bounds what it reads, `answers` turns requests
into calls of `workshop`, which holds pictures, results and models within bounds (`shelf`) and lets
featcli compute; `reading` is how a request's steps are read without any file being looked up,
`freeing` returns memory to the system, `forms` describes the stages, `texts` writes a pipeline as a
command and as Python, and `page` is the page itself.

The state of a person's work is in the page, not here: any number of tabs may be open.
"""
