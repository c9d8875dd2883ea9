"""What is drawn of layers and models of Keras on TensorFlow computes what they do."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from graph.of_tensorflow.keras_layers import CASES

HERE = Path(__file__).parent
