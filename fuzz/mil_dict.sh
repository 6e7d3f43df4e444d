#!/bin/sh
# Writes mil.dict: the words of the grammar, and every op and parameter that the op table names.
cd "$(dirname "$0")" || exit 1
{
    for word in 'program(1.3)' 'func' '<ios15>(' '<ios16>(' '<ios17>(' '<ios18>(' 'tensor<' 'state<tensor<' 'const()[' \
        'val = ' 'name = string(\"a\")' 'BLOBFILE(' 'uint64(64)' 'buildInfo = dict<string, string>({' '{\"a\", \"b\"}' ') -> (' \
        '0x1p-3' 'inf' 'nan(0x1)' '-65504' '1e-5' 'true' 'false' 'fp16' 'fp32' 'int8' 'uint8' 'int16' 'uint16' 'int32' \
        'uint32' 'bool' 'string' 'write_state(input = s, data = x)'; do
        echo "\"$word\""
    done
    cat ../crates/mil/src/ops/*.rs ../crates/mil/src/ops/*/*.rs 2>/dev/null |
        grep -oE '"[a-z][a-z0-9_]{1,40}"' | sort -u
} > mil.dict
