"""What the cases cover, counted in the programs themselves: ops by opset definition and dtype, against coremltools' registry."""

import json
import os
from collections import Counter, defaultdict

from . import package
from .package import types

# Ops of the registry without a case, each with its reason.
WITHOUT = {
    "_const_symbolic": "exists only inside coremltools; no file holds one",
}

VERSION = {15: "iOS15", 16: "iOS16", 17: "iOS17", 18: "iOS18", 26: "iOS26"}


def definitions():
    """{op: {opset that the definition begins with: class}} of every core op."""
    from coremltools.converters.mil.mil.ops.registry import SSAOpRegistry

    result = {}
    for name, variants in SSAOpRegistry.core_ops.items():
        begins = {}
        for target, cls in sorted(variants.items(), key=lambda v: v[0].value):
            if cls not in begins.values():
                # The registry fills the opsets before iOS 15, which had no programs, with that of iOS 15.
                begins[target.name.replace("iOS13", "iOS15").replace("iOS14", "iOS15")] = cls
        result[name] = begins
    return result


def domain_of(cls, spec):
    """The dtypes that a parameter of a definition may have, where there is a choice."""
    variable = getattr(spec, "_type_domain_id", None)
    domain = cls.type_domains.get(variable, ()) if variable else getattr(spec, "_type_domain", ())
    domain = domain if isinstance(domain, (tuple, list)) else (domain,)
    return sorted(types.builtin_to_string(t) for t in domain) if len(domain) > 1 else []


def dtypes_of(value):
    """The dtypes of a parameter: of a tensor, or of the members of a tuple."""
    if isinstance(value, (tuple, list)):
        return set().union(*(dtypes_of(v) for v in value)) if value else set()
    if value is None or not hasattr(value, "sym_type"):
        return set()
    if types.is_list(value.sym_type) or not (types.is_tensor(value.sym_type) or types.is_scalar(value.sym_type)):
        return set()
    return {types.builtin_to_string(value.dtype)}


def count(cases):
    """(programs by op and definition, programs by op and opset, dtypes seen by (op, definition, parameter))"""
    by_definition, by_opset, seen = Counter(), Counter(), defaultdict(set)
    begin = {cls: opset for variants in definitions().values() for opset, cls in variants.items()}
    for case in cases:
        program, _ = package.program(case)
        if case.convert:  # the converter adds the op: a classifier
            by_definition[("classify", "iOS15")] += 1
            by_opset[("classify", VERSION[case.opset])] += 1
        found = set()
        for op in package.operations(program):
            name = "write_state" if op.op_type == "coreml_update_state" else op.op_type
            definition = begin.get(type(op), "iOS18")
            found.add((name, definition))
            for parameter, value in op.inputs.items():
                seen[(name, definition, parameter)] |= dtypes_of(value)
        # A program counts for the op it is named after, and for others it contains only where those have no case.
        named = case.name.split("/")[0]
        for name, definition in found:
            if name == named:
                by_definition[(name, definition)] += 1
                by_opset[(name, VERSION[case.opset])] += 1
    return by_definition, by_opset, seen


def report(cases, whole):
    """Prints the table; 1 if the registry has an op, a definition or a dtype without a case."""
    by_definition, by_opset, seen = count(cases)
    registry = definitions()
    names = sorted(set(registry) | {"write_state"})
    print(f"{'op':40} {'programs':>8}  " + " ".join(f"{v:>5}" for v in VERSION.values()) + "  dtypes")
    gaps = []
    total = Counter()
    for name in names:
        per = [by_opset[(name, v)] for v in VERSION.values()]
        dtypes = sorted(set().union(*(d for (op, _, p), d in seen.items() if op == name)) - {"str"})
        total.update({"programs": sum(per)})
        if sum(per) or whole:
            print(f"{name:40} {sum(per):8}  " + " ".join(f"{n:5}" for n in per) + "  " + " ".join(dtypes))
    pairs = 0
    for name, variants in sorted(registry.items()):
        if name in WITHOUT:
            continue
        for definition, cls in variants.items():
            if not by_definition[(name, definition)]:
                gaps.append(f"{name} as iOS {definition[3:]} defines it has no case")
                continue
            for parameter, spec in cls.input_spec.input_types.items():
                for dtype in domain_of(cls, spec):
                    pairs += 1
                    if dtype not in seen[(name, definition, parameter)]:
                        gaps.append(f"{name} (iOS {definition[3:]}): {parameter} is never {dtype}")
    print(f"{len(cases)} programs, {len([n for n in names if n not in WITHOUT])} ops, "
          f"{sum(len(v) for v in registry.values()) - len(WITHOUT) + 1} definitions, {pairs} pairs of parameter and dtype")  # fmt: skip
    for name, reason in WITHOUT.items():
        print(f"without a case: {name}: {reason}")
    if not whole:
        return 0
    # For the op page of the documentation, under the names that the op table has.
    programs = {name: sum(by_opset[(name, v)] for v in VERSION.values()) for name in names}
    programs["coreml_update_state"] = programs.pop("write_state")
    with open(os.path.join(os.path.dirname(__file__), "..", "cases.json"), "w") as file:
        json.dump({name: count for name, count in sorted(programs.items()) if count}, file, indent=1)
        file.write("\n")
    for gap in gaps:
        print(f"GAP {gap}")
    return 1 if gaps else 0
