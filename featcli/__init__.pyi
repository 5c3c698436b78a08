"""The Python API. Written by tools/generate.py."""

from featcli.errors import FeatError as FeatError
from featcli.frame import Frame as Frame
from featcli.frame import Source as Source
from featcli.frame import Step as Step
from featcli.io.files import read as read
from featcli.io.files import recover as recover
from featcli.io.files import write as write
from featcli.models.loading import load_model as load_model
from featcli.models.network import Network as Network
from featcli.models.stages import classify as classify
from featcli.models.stages import feature_maps as feature_maps
from featcli.models.stages import features as features
from featcli.ops.activation import abs as abs
from featcli.ops.activation import relu as relu
from featcli.ops.activation import relu6 as relu6
from featcli.ops.activation import sigmoid as sigmoid
from featcli.ops.activation import softmax as softmax
from featcli.ops.activation import tanh as tanh
from featcli.ops.channels import gray as gray
from featcli.ops.channels import rgb as rgb
from featcli.ops.channels import split_channels as split_channels
from featcli.ops.convolution import convolve as convolve
from featcli.ops.convolution import explain_plan as explain_plan
from featcli.ops.flattening import flatten as flatten
from featcli.ops.fully_connected import dense as dense
from featcli.ops.hashing import dhash as dhash
from featcli.ops.hashing import phash as phash
from featcli.ops.normalizing import l2 as l2
from featcli.ops.normalizing import normalize as normalize
from featcli.ops.pooling import pool as pool
from featcli.ops.resizing import crop as crop
from featcli.ops.resizing import resize as resize
from featcli.pipeline import Pipeline as Pipeline
from featcli.training.saving import save_model as save_model

__version__: str
