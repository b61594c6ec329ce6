"""Element-wise work of the model in as few passes over memory as it needs, on CPUs.

On a CPU most of a training step of a small model is reading and writing activations. PyTorch takes
one pass an operation; these kernels, C compiled on first use, take one a group of operations.
Where they can't serve (another device or type, no compiler, torch.compile, which fuses by itself),
the callers use PyTorch's operations.
"""
