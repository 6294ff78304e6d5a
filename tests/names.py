"""Names that several tests go through."""

#: PyKEEN's models that a study may name
MODELS = [
    "TransE",
    "TransH",
    "TransR",
    "TransD",
    "DistMult",
    "RESCAL",
    "RotatE",
    "HolE",
    "ComplEx",
    "SimplE",
    "QuatE",
    "BoxE",
]
