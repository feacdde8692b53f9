"""Encoders of texts and pictures, whose weights come with a package or as a file of the shop.

`text_encoders` finds an encoder by its name, `universal_text` and `static_text` have weights from packages,
`onnx_text` and `onnx_image` run a network with ONNX Runtime, `pictures` reads picture files. Nothing is downloaded.
The packages that an encoder needs are the extras ``headrace[text]`` and ``headrace[onnx]``, imported when it is
opened; without them a `UserError` names the extra.
"""
