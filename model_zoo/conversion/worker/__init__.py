"""What runs in the worker process: standard library, numpy, openvino and the model's framework only.

Whatever stands in the way of a conversion is raised as a ConversionError or one of its subclasses, such as
MissingExtraError, UntrustedCodeError and UnknownPrecisionError; the parent process raises it again.
"""
