"""What there is, by name: module and first line. By tools/generate.py."""

STAGES: dict[str, tuple[str, str]] = {
    "abs": ("featcli.ops.activation", "Drop the sign of every value."),
    "convolve": (
        "featcli.ops.convolution",
        "Slide a kernel over every channel: one feature map for each.",
    ),
    "crop": ("featcli.ops.resizing", "Cut out the centre, or another place."),
    "dense": (
        "featcli.ops.fully_connected",
        "Combine all values of a vector into new ones: x @ weight + bias.",
    ),
    "dhash": (
        "featcli.ops.hashing",
        "Fingerprint a picture by where its brightness rises from left to right.",
    ),
    "flatten": (
        "featcli.ops.flattening",
        "Arrange all values in one column: the input of a dense layer.",
    ),
    "gray": ("featcli.ops.channels", "Mix R, G and B into one channel by their brightness."),
    "l2": (
        "featcli.ops.normalizing",
        "Divide all values by their Euclidean length, so that it becomes 1.",
    ),
    "normalize": (
        "featcli.ops.normalizing",
        "Subtract a mean and divide by a standard deviation, each channel by its own.",
    ),
    "phash": (
        "featcli.ops.hashing",
        "Fingerprint a picture by the coarse waves that it is made of.",
    ),
    "pool": (
        "featcli.ops.pooling",
        "Summarise each window of pixels by its largest, mean or smallest value.",
    ),
    "relu": ("featcli.ops.activation", "Replace every negative value by zero."),
    "relu6": (
        "featcli.ops.activation",
        "Replace every negative value by zero, and every value above six by six.",
    ),
    "resize": (
        "featcli.ops.resizing",
        "Change the number of rows and columns with Pillow's filters.",
    ),
    "rgb": (
        "featcli.ops.channels",
        "Make three channels of one: a gray picture with R, G and B all alike.",
    ),
    "sigmoid": ("featcli.ops.activation", "Squeeze every value into 0..1."),
    "softmax": (
        "featcli.ops.activation",
        "Turn scores into shares that sum to 1, along the last axis.",
    ),
    "split-channels": (
        "featcli.ops.channels",
        "Give every channel as a result of its own: R, G and B of a photo.",
    ),
    "tanh": ("featcli.ops.activation", "Squeeze every value into -1..1 by the hyperbolic tangent."),
}

COMMANDS: dict[str, tuple[str, str]] = {
    "animate": (
        "featcli.cli.commands.animate",
        "Animate how a pipeline computes: the window slides over the picture, and the map grows.",
    ),
    "classify": (
        "featcli.cli.commands.classify",
        "Say what images show, by a network that ships with featcli.",
    ),
    "completion": (
        "featcli.cli.commands.completion",
        "Print the script by which a shell completes what is typed after featcli.",
    ),
    "convert": (
        "featcli.cli.commands.convert",
        "Turn a table of vectors into one of another kind, without computing anything again.",
    ),
    "duplicates": (
        "featcli.cli.commands.duplicates",
        "Find images that are there twice: exact copies, and near ones.",
    ),
    "evaluate": (
        "featcli.cli.commands.evaluate",
        "Measure how often a model is right: accuracy, precision and recall of each class.",
    ),
    "explain": (
        "featcli.cli.commands.explain",
        "Show what a network sees in your picture: every layer, and the numbers behind it.",
    ),
    "export": (
        "featcli.cli.commands.export",
        "Write a model of featcli's as ONNX, for other programs.",
    ),
    "features": (
        "featcli.cli.commands.features",
        "Give the vector that a layer of a network sees, for scikit-learn or a search by likeness.",
    ),
    "help": (
        "featcli.cli.commands.help",
        "Show the help of a command, as its --help does; without a name, the list of all commands.",
    ),
    "info": (
        "featcli.cli.commands.info",
        "Say what a file holds: shape, type, range, mean, NaN, labels and history.",
    ),
    "kernels": (
        "featcli.cli.commands.kernels",
        "List the built-in kernels, or show one: its numbers, what it shows, where it comes from.",
    ),
    "neighbors": (
        "featcli.cli.commands.neighbors",
        "Find the images of a table that are most like others.",
    ),
    "pipelines": (
        "featcli.cli.commands.pipelines",
        "List the saved pipelines, or show some of them by their names.",
    ),
    "plugins": (
        "featcli.cli.commands.plugins",
        "List the stages and kernels that other packages bring, and what is wrong with them.",
    ),
    "run": (
        "featcli.cli.commands.run",
        'Run several stages in one process, such as "convolve vertical | relu | pool 2".',
    ),
    "serve": (
        "featcli.cli.commands.serve",
        "Open a page on this machine to build pipelines, see every step and edit kernels.",
    ),
    "show": (
        "featcli.cli.commands.show",
        "Show a picture or an array in the terminal, with its range and mean.",
    ),
    "train": (
        "featcli.cli.commands.train",
        "Learn a network's numbers from images: guess, loss, gradients, descent.",
    ),
    "visualize": (
        "featcli.cli.commands.visualize",
        "Show what the filters of a layer want to see, or where in a picture an answer comes from.",
    ),
}
