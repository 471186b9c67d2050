"""Drop-ins for the commands of Open Model Zoo that left OpenVINO: same flags, layout, messages, exit codes.

One module per command; ``arguments`` parses the flags they share, ``selection`` finds the models, ``output``
prints in their format. The work is done by ``model_zoo.zoo``, in its cache.
"""
