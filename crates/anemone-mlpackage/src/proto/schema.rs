//! Field numbers of the messages that this crate reads and writes, under Apple's names.
//!
//! Source: the schema of Core ML models (`Model.proto`, `FeatureTypes.proto`, `MIL.proto` of coremltools 9.0, BSD-3-Clause).
//! `tests/schema.rs` compares this table with the descriptors inside the coremltools wheel, both ways, so that a field which
//! Apple adds to one of these messages is found when the golden copy of the descriptors is renewed.
//!
//! Messages without fields (`Int64FeatureType` and the like) have no module.

/// A message of Apple's schema: its full name without `CoreML.Specification.`, and its fields.
#[derive(Clone, Copy, Debug)]
pub struct Message {
    /// Name, such as `MILSpec.Operation`.
    pub name: &'static str,
    /// Number and name of every field.
    pub fields: &'static [(u32, &'static str)],
}

macro_rules! messages {
    ($($module:ident = $name:literal { $($field:ident = $number:literal $spelled:literal,)* })*) => {
        $(
            #[allow(dead_code, reason = "a table: fields that are only ever refused are in it too")]
            pub(crate) mod $module {
                pub(crate) const MESSAGE: &str = $name;
                $(pub(crate) const $field: u32 = $number;)*
            }
        )*

        /// Every message with fields that this crate knows.
        pub const MESSAGES: &[Message] =
            &[$(Message { name: $name, fields: &[$(($number, $spelled)),*] }),*];
    };
}

messages! {
    model = "Model" {
        SPECIFICATION_VERSION = 1 "specificationVersion",
        DESCRIPTION = 2 "description",
        IS_UPDATABLE = 10 "isUpdatable",
        PIPELINE_CLASSIFIER = 200 "pipelineClassifier",
        PIPELINE_REGRESSOR = 201 "pipelineRegressor",
        PIPELINE = 202 "pipeline",
        GLM_REGRESSOR = 300 "glmRegressor",
        SUPPORT_VECTOR_REGRESSOR = 301 "supportVectorRegressor",
        TREE_ENSEMBLE_REGRESSOR = 302 "treeEnsembleRegressor",
        NEURAL_NETWORK_REGRESSOR = 303 "neuralNetworkRegressor",
        BAYESIAN_PROBIT_REGRESSOR = 304 "bayesianProbitRegressor",
        GLM_CLASSIFIER = 400 "glmClassifier",
        SUPPORT_VECTOR_CLASSIFIER = 401 "supportVectorClassifier",
        TREE_ENSEMBLE_CLASSIFIER = 402 "treeEnsembleClassifier",
        NEURAL_NETWORK_CLASSIFIER = 403 "neuralNetworkClassifier",
        K_NEAREST_NEIGHBORS_CLASSIFIER = 404 "kNearestNeighborsClassifier",
        NEURAL_NETWORK = 500 "neuralNetwork",
        ITEM_SIMILARITY_RECOMMENDER = 501 "itemSimilarityRecommender",
        ML_PROGRAM = 502 "mlProgram",
        CUSTOM_MODEL = 555 "customModel",
        LINKED_MODEL = 556 "linkedModel",
        CLASS_CONFIDENCE_THRESHOLDING = 560 "classConfidenceThresholding",
        ONE_HOT_ENCODER = 600 "oneHotEncoder",
        IMPUTER = 601 "imputer",
        FEATURE_VECTORIZER = 602 "featureVectorizer",
        DICT_VECTORIZER = 603 "dictVectorizer",
        SCALER = 604 "scaler",
        CATEGORICAL_MAPPING = 606 "categoricalMapping",
        NORMALIZER = 607 "normalizer",
        ARRAY_FEATURE_EXTRACTOR = 609 "arrayFeatureExtractor",
        NON_MAXIMUM_SUPPRESSION = 610 "nonMaximumSuppression",
        IDENTITY = 900 "identity",
        TEXT_CLASSIFIER = 2000 "textClassifier",
        WORD_TAGGER = 2001 "wordTagger",
        VISION_FEATURE_PRINT = 2002 "visionFeaturePrint",
        SOUND_ANALYSIS_PREPROCESSING = 2003 "soundAnalysisPreprocessing",
        GAZETTEER = 2004 "gazetteer",
        WORD_EMBEDDING = 2005 "wordEmbedding",
        AUDIO_FEATURE_PRINT = 2006 "audioFeaturePrint",
        SERIALIZED_MODEL = 3000 "serializedModel",
    }
    model_description = "ModelDescription" {
        INPUT = 1 "input",
        OUTPUT = 10 "output",
        PREDICTED_FEATURE_NAME = 11 "predictedFeatureName",
        PREDICTED_PROBABILITIES_NAME = 12 "predictedProbabilitiesName",
        STATE = 13 "state",
        FUNCTIONS = 20 "functions",
        DEFAULT_FUNCTION_NAME = 21 "defaultFunctionName",
        TRAINING_INPUT = 50 "trainingInput",
        METADATA = 100 "metadata",
    }
    function_description = "FunctionDescription" {
        NAME = 1 "name",
        INPUT = 2 "input",
        OUTPUT = 3 "output",
        PREDICTED_FEATURE_NAME = 4 "predictedFeatureName",
        PREDICTED_PROBABILITIES_NAME = 5 "predictedProbabilitiesName",
        STATE = 6 "state",
    }
    feature_description = "FeatureDescription" {
        NAME = 1 "name",
        SHORT_DESCRIPTION = 2 "shortDescription",
        TYPE = 3 "type",
    }
    metadata = "Metadata" {
        SHORT_DESCRIPTION = 1 "shortDescription",
        VERSION_STRING = 2 "versionString",
        AUTHOR = 3 "author",
        LICENSE = 4 "license",
        USER_DEFINED = 100 "userDefined",
    }
    size_range = "SizeRange" {
        LOWER_BOUND = 1 "lowerBound",
        UPPER_BOUND = 2 "upperBound",
    }
    image_feature_type = "ImageFeatureType" {
        WIDTH = 1 "width",
        HEIGHT = 2 "height",
        COLOR_SPACE = 3 "colorSpace",
        ENUMERATED_SIZES = 21 "enumeratedSizes",
        IMAGE_SIZE_RANGE = 31 "imageSizeRange",
    }
    image_size = "ImageFeatureType.ImageSize" {
        WIDTH = 1 "width",
        HEIGHT = 2 "height",
    }
    enumerated_image_sizes = "ImageFeatureType.EnumeratedImageSizes" {
        SIZES = 1 "sizes",
    }
    image_size_range = "ImageFeatureType.ImageSizeRange" {
        WIDTH_RANGE = 1 "widthRange",
        HEIGHT_RANGE = 2 "heightRange",
    }
    array_feature_type = "ArrayFeatureType" {
        SHAPE = 1 "shape",
        DATA_TYPE = 2 "dataType",
        ENUMERATED_SHAPES = 21 "enumeratedShapes",
        SHAPE_RANGE = 31 "shapeRange",
        INT_DEFAULT_VALUE = 41 "intDefaultValue",
        FLOAT_DEFAULT_VALUE = 51 "floatDefaultValue",
        DOUBLE_DEFAULT_VALUE = 61 "doubleDefaultValue",
    }
    array_feature_type_shape = "ArrayFeatureType.Shape" {
        SHAPE = 1 "shape",
    }
    enumerated_shapes = "ArrayFeatureType.EnumeratedShapes" {
        SHAPES = 1 "shapes",
    }
    shape_range = "ArrayFeatureType.ShapeRange" {
        SIZE_RANGES = 1 "sizeRanges",
    }
    dictionary_feature_type = "DictionaryFeatureType" {
        INT64_KEY_TYPE = 1 "int64KeyType",
        STRING_KEY_TYPE = 2 "stringKeyType",
    }
    sequence_feature_type = "SequenceFeatureType" {
        INT64_TYPE = 1 "int64Type",
        STRING_TYPE = 3 "stringType",
        SIZE_RANGE = 101 "sizeRange",
    }
    state_feature_type = "StateFeatureType" {
        ARRAY_TYPE = 1 "arrayType",
    }
    feature_type = "FeatureType" {
        INT64_TYPE = 1 "int64Type",
        DOUBLE_TYPE = 2 "doubleType",
        STRING_TYPE = 3 "stringType",
        IMAGE_TYPE = 4 "imageType",
        MULTI_ARRAY_TYPE = 5 "multiArrayType",
        DICTIONARY_TYPE = 6 "dictionaryType",
        SEQUENCE_TYPE = 7 "sequenceType",
        STATE_TYPE = 8 "stateType",
        IS_OPTIONAL = 1000 "isOptional",
    }
    program = "MILSpec.Program" {
        VERSION = 1 "version",
        FUNCTIONS = 2 "functions",
        DOC_STRING = 3 "docString",
        ATTRIBUTES = 4 "attributes",
    }
    function = "MILSpec.Function" {
        INPUTS = 1 "inputs",
        OPSET = 2 "opset",
        BLOCK_SPECIALIZATIONS = 3 "block_specializations",
        ATTRIBUTES = 4 "attributes",
    }
    block = "MILSpec.Block" {
        INPUTS = 1 "inputs",
        OUTPUTS = 2 "outputs",
        OPERATIONS = 3 "operations",
        ATTRIBUTES = 4 "attributes",
    }
    argument = "MILSpec.Argument" {
        ARGUMENTS = 1 "arguments",
    }
    binding = "MILSpec.Argument.Binding" {
        NAME = 1 "name",
        VALUE = 2 "value",
    }
    operation = "MILSpec.Operation" {
        TYPE = 1 "type",
        INPUTS = 2 "inputs",
        OUTPUTS = 3 "outputs",
        BLOCKS = 4 "blocks",
        ATTRIBUTES = 5 "attributes",
    }
    named_value_type = "MILSpec.NamedValueType" {
        NAME = 1 "name",
        TYPE = 2 "type",
    }
    value_type = "MILSpec.ValueType" {
        TENSOR_TYPE = 1 "tensorType",
        LIST_TYPE = 2 "listType",
        TUPLE_TYPE = 3 "tupleType",
        DICTIONARY_TYPE = 4 "dictionaryType",
        STATE_TYPE = 5 "stateType",
    }
    tensor_type = "MILSpec.TensorType" {
        DATA_TYPE = 1 "dataType",
        RANK = 2 "rank",
        DIMENSIONS = 3 "dimensions",
        ATTRIBUTES = 4 "attributes",
    }
    tuple_type = "MILSpec.TupleType" {
        TYPES = 1 "types",
    }
    list_type = "MILSpec.ListType" {
        TYPE = 1 "type",
        LENGTH = 2 "length",
    }
    dictionary_type = "MILSpec.DictionaryType" {
        KEY_TYPE = 1 "keyType",
        VALUE_TYPE = 2 "valueType",
    }
    state_type = "MILSpec.StateType" {
        WRAPPED_TYPE = 1 "wrappedType",
    }
    dimension = "MILSpec.Dimension" {
        CONSTANT = 1 "constant",
        UNKNOWN = 2 "unknown",
    }
    constant_dimension = "MILSpec.Dimension.ConstantDimension" {
        SIZE = 1 "size",
    }
    unknown_dimension = "MILSpec.Dimension.UnknownDimension" {
        VARIADIC = 1 "variadic",
    }
    value = "MILSpec.Value" {
        DOC_STRING = 1 "docString",
        TYPE = 2 "type",
        IMMEDIATE_VALUE = 3 "immediateValue",
        BLOB_FILE_VALUE = 5 "blobFileValue",
    }
    immediate_value = "MILSpec.Value.ImmediateValue" {
        TENSOR = 1 "tensor",
        TUPLE = 2 "tuple",
        LIST = 3 "list",
        DICTIONARY = 4 "dictionary",
    }
    blob_file_value = "MILSpec.Value.BlobFileValue" {
        FILE_NAME = 1 "fileName",
        OFFSET = 2 "offset",
    }
    tensor_value = "MILSpec.TensorValue" {
        FLOATS = 1 "floats",
        INTS = 2 "ints",
        BOOLS = 3 "bools",
        STRINGS = 4 "strings",
        LONG_INTS = 5 "longInts",
        DOUBLES = 6 "doubles",
        BYTES = 7 "bytes",
    }
    repeated_floats = "MILSpec.TensorValue.RepeatedFloats" {
        VALUES = 1 "values",
    }
    repeated_doubles = "MILSpec.TensorValue.RepeatedDoubles" {
        VALUES = 1 "values",
    }
    repeated_ints = "MILSpec.TensorValue.RepeatedInts" {
        VALUES = 1 "values",
    }
    repeated_long_ints = "MILSpec.TensorValue.RepeatedLongInts" {
        VALUES = 1 "values",
    }
    repeated_bools = "MILSpec.TensorValue.RepeatedBools" {
        VALUES = 1 "values",
    }
    repeated_strings = "MILSpec.TensorValue.RepeatedStrings" {
        VALUES = 1 "values",
    }
    repeated_bytes = "MILSpec.TensorValue.RepeatedBytes" {
        VALUES = 1 "values",
    }
    tuple_value = "MILSpec.TupleValue" {
        VALUES = 1 "values",
    }
    list_value = "MILSpec.ListValue" {
        VALUES = 1 "values",
    }
    dictionary_value = "MILSpec.DictionaryValue" {
        VALUES = 1 "values",
    }
    key_value_pair = "MILSpec.DictionaryValue.KeyValuePair" {
        KEY = 1 "key",
        VALUE = 2 "value",
    }
}
