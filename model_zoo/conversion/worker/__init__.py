"""What runs in the worker process: standard library, numpy, openvino and the model's framework only."""
