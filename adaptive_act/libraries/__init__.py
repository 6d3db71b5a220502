"""Models of timm, transformers and torchvision, by name or folder, with the library's own description.

Nothing is downloaded and no code of the user's files runs: the weights are files that the user names, read as
tensors alone, and the class of the model is one that the installed library has.
"""
