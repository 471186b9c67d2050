"""What runs in the worker process only: standard library, numpy, openvino and the model's framework."""
