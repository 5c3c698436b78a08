"""Stages: module, summary; commands: summary (by tools/generate.py)."""

STAGES: dict[str, tuple[str, str]] = {
    "abs": ("ops.activation", "Replace every value by its absolute value."),
    "classify": (
        "models.stages",
        "Classify an image: return the probability of every class of a model.",
    ),
    "convolve": ("ops.convolution", "Slide a kernel over every channel: one feature map for each."),
    "crop": ("ops.resizing", "Cut out the centre of a picture, or another part."),
    "dense": (
        "ops.fully_connected",
        "Apply a fully connected layer to a vector: x @ weight + bias.",
    ),
    "dhash": (
        "ops.hashing",
        "Fingerprint a picture by where its brightness rises from left to right.",
    ),
    "feature-maps": ("models.stages", "Return the feature maps of a layer of a neural network."),
    "features": ("models.stages", "Return the result of a layer of a model as a vector."),
    "flatten": ("ops.flattening", "Arrange all values in one vector: the input of a dense layer."),
    "gray": ("ops.channels", "Convert R, G and B to one grey channel, as a weighted mean."),
    "l2": ("ops.normalizing", "Divide all values by their Euclidean length, so that it becomes 1."),
    "normalize": (
        "ops.normalizing",
        "Subtract a mean and divide by a standard deviation, for each channel.",
    ),
    "phash": (
        "ops.hashing",
        "Fingerprint a picture by the lowest frequencies of its cosine transform.",
    ),
    "pool": ("ops.pooling", "Reduce each window of pixels to its largest, mean or smallest value."),
    "relu": ("ops.activation", "Replace every negative value by zero."),
    "relu6": (
        "ops.activation",
        "Replace every negative value by zero, and every value above six by six.",
    ),
    "resize": ("ops.resizing", "Change the number of rows and columns with Pillow's filters."),
    "rgb": ("ops.channels", "Convert a grey picture to three equal channels R, G and B."),
    "sigmoid": ("ops.activation", "Squeeze every value into 0..1."),
    "softmax": (
        "ops.activation",
        "Turn scores into probabilities that sum to 1, along the last axis.",
    ),
    "split-channels": (
        "ops.channels",
        "Return every channel as a separate result: R, G and B of a photo.",
    ),
    "tanh": ("ops.activation", "Squeeze every value into -1..1 by the hyperbolic tangent."),
}

COMMANDS: dict[str, str] = {
    "animate": "Animate a pipeline: the window slides over the image, and the feature map fills in.",
    "classify": "Classify images with a neural network: the included ImageNet model, or one of your own.",
    "completion": "Print the completion script for a shell.",
    "convert": "Convert a table of vectors to another file format, or reduce its vectors.",
    "duplicates": "Find duplicate images: exact copies and near-duplicates.",
    "evaluate": "Measure a classifier on labelled images: accuracy, precision and recall per class.",
    "explain": "Write a page that shows what a network computes from your image, layer by layer.",
    "export": "Export a featcli model as an ONNX file, for other programs.",
    "features": "Extract feature vectors (embeddings) from images with a neural network.",
    "help": "Show the help of a command, like its --help; without a name, list all commands.",
    "info": "Describe a file: shape, data type, range, mean, number of NaN, labels and history.",
    "kernels": "List the built-in kernels, or show one: its numbers, its purpose and its source.",
    "neighbors": "Find the most similar images in a table of feature vectors (nearest neighbours).",
    "pipelines": "List the saved pipelines, or show those with the given names.",
    "plugins": "List the stages and kernels that installed plugins provide, and errors in them.",
    "run": 'Run a pipeline of several stages, such as "convolve vertical | relu | pool 2".',
    "serve": "Start a local web page for building pipelines and editing kernels.",
    "show": "Show an image or an array in the terminal, with its range and mean.",
    "train": "Train a neural network to classify images, and save it as a model file.",
    "visualize": "Draw what the filters of a layer respond to, or which parts of an image decide its class.",
}
