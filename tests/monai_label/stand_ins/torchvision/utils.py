"""The two functions; nothing that is tested calls them."""


def make_grid(*args, **kwargs):
    """Not here."""
    raise NotImplementedError("Install torchvision to draw pictures of a training.")


save_image = make_grid
