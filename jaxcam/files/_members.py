"""The members of the zip archive that `jaxcam.export` writes; no checkpoint has them."""

META, PROGRAM, WEIGHTS = "meta.json", "program.bin", "weights.safetensors"
