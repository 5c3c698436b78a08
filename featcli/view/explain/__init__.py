"""The page of `featcli explain`.

`selection` says which maps it holds, `describing` and `packing` turn them into data, `rows`,
`answer`, `words` and `html` into HTML, and `page` puts it together with the template `page.html`,
the style `page.css` and the scripts: `data.js` unpacks the numbers, `numbers.js` computes a cell
by its rule, `drawing.js` draws, `panels.js` shows the calculation, and `page.js` is what a person
handles.
"""
