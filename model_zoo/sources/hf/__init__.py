"""The Hugging Face Hub: ``source`` is the source kind, ``hub`` asks the Hub through huggingface_hub."""
