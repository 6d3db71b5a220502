"""The operators that a session runs, and what is known of them by name."""

from collections.abc import Mapping

import onnxruntime as ort

from serve.engine.errors import InvalidInputError, quote
from serve.engine.signature import Array

# The work of all these, and the size of their outputs, follow from the shapes of their inputs and from what
# is constant in the model. Of any other nothing is known, or it is known that values decide: the number of
# turns of `Loop`, the output's size of `Range`, `Expand`, `Pad` and `Resize`, the samples of `RoiAlign`.
ELEMENTWISE = """
    Abs Acos Acosh Add And Asin Asinh Atan Atanh BitCast BitShift BitwiseAnd BitwiseNot BitwiseOr BitwiseXor
    Cast CastLike Ceil Celu Clip Cos Cosh Div Dropout Elu Equal Erf Exp Floor Gelu Greater GreaterOrEqual
    HardSigmoid HardSwish Identity IsInf IsNaN LeakyRelu Less LessOrEqual Log Max Mean Min Mish Mod Mul Neg
    Not Or PRelu Pow Reciprocal Relu Round Selu Shrink Sigmoid Sign Sin Sinh Softplus Softsign Sqrt Sub Sum
    SwiGLU Swish Tan Tanh ThresholdedRelu Where Xor
"""
LAYERS = """
    Attention AveragePool BatchNormalization Conv ConvInteger ConvTranspose DeformConv Det Einsum GRU Gemm
    GlobalAveragePool GlobalLpPool GlobalMaxPool GridSample GroupNormalization InstanceNormalization LRN LSTM
    LayerNormalization LpNormalization LpPool MatMul MatMulInteger MaxPool MeanVarianceNormalization
    RMSNormalization RNN RotaryEmbedding
"""
REDUCTIONS = """
    ArgMax ArgMin CumProd CumSum Hardmax LogSoftmax ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax
    ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare Softmax TopK
"""
MOVES = """
    Bernoulli Compress Concat Constant DepthToSpace EyeLike Flatten Gather GatherElements GatherND
    RandomNormal RandomNormalLike RandomUniform RandomUniformLike Reshape ReverseSequence Scatter
    ScatterElements ScatterND Shape Size Slice SpaceToDepth Split Squeeze Transpose Trilu Unsqueeze
"""
CLASSICAL = """
    ArrayFeatureExtractor Binarizer FeatureVectorizer Imputer LabelEncoder LinearClassifier LinearRegressor
    Normalizer OneHotEncoder SVMClassifier SVMRegressor Scaler TreeEnsemble TreeEnsembleClassifier
    TreeEnsembleRegressor
"""
QUANTISED = """
    DequantizeLinear DynamicQuantizeLSTM DynamicQuantizeLinear DynamicQuantizeMatMul MatMulIntegerToFloat
    MatMulNBits QAttention QGemm QLinearAdd QLinearAveragePool QLinearConcat QLinearConv
    QLinearGlobalAveragePool QLinearLeakyRelu QLinearMatMul QLinearMul QLinearReduceMean QLinearSigmoid
    QLinearSoftmax QLinearWhere QuantizeLinear
"""
# In files that ONNX Runtime has optimised.
FUSED = """
    BiasGelu EmbedLayerNormalization FastGelu FusedConv FusedGemm FusedMatMul GroupNorm MultiHeadAttention
    NhwcMaxPool QuickGelu ReorderInput ReorderOutput SimplifiedLayerNormalization SkipLayerNormalization
    SkipSimplifiedLayerNormalization
"""
GROUPS = (ELEMENTWISE, LAYERS, REDUCTIONS, MOVES, CLASSICAL, QUANTISED, FUSED)
SIZED_BY_SHAPES = frozenset(name for group in GROUPS for name in group.split())

# These end the whole process on a tensor without elements (ONNX Runtime 1.32).
ABORTING_ON_EMPTY = frozenset({"LSTM", "GRU", "DynamicQuantizeLSTM"})


def read_operators(session: ort.InferenceSession) -> set[str]:
    """The names of the operators left once constants are folded, those inside a `Loop` or an `If` too.

    The session must be one that a provider of `adaptact.providers` has opened.
    """
    return {
        node.op_type for part in session.get_provider_graph_assignment_info() for node in part.get_nodes()
    }


def check_not_empty(inputs: Mapping[str, Array]) -> None:
    """Raise `InvalidInputError` for an input without elements."""
    for name, array in inputs.items():
        if not array.size:
            raise InvalidInputError(
                f"input {quote(name)} of shape `{list(array.shape)}` has no elements, "
                "which the model's recurrent layers (LSTM, GRU) cannot run on; send at least one"
            )
