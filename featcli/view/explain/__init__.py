"""The page of `featcli explain`.

`selection` says which maps it holds, `describing`, `links` and `packing` turn them into data,
`rows`, `answer`, `words`, `lessons` and `html` into HTML, and `page` puts it together with the
template `page.html`, the styles and the scripts: `data.js` unpacks the numbers, `numbers.js`
computes a cell by its rule, `colours.js` and `drawing.js` draw, `panels.js` shows the calculation
of a cell, `origins.js` the maps that it comes from, `elastic.js` all maps of a filter at once;
`player.js`, `scales.js`, `column.js` and `overview.js` are what their names say, `convolving.js`,
`kernels.js` and `sandbox.js` the kernel to play with; `page.js` shows a cell, and `begin.js`
listens.
"""
