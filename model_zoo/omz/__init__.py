"""Drop-ins for the commands of Open Model Zoo that left OpenVINO: same flags, layout, messages, exit codes.

``arguments`` reads what they have in common, ``selection`` finds the models meant, ``output`` prints as they
printed; one file for each command. What they do is done by ``model_zoo.zoo``, on its cache.
"""
