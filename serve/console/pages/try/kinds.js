/** In which ways a model can be asked, by what is known of it. */

/** `image`, `text`, `columns` and `tensors`, those that the model takes, the easiest first. */
export function findKinds({ inputs, description = {} }) {
  const kinds = [];
  if (description.preprocessing && inputs.length === 1) kinds.push("image");
  if (description.tokenizer) kinds.push("text");
  if (findColumns({ inputs, description }).length) kinds.push("columns");
  return [...kinds, "tensors"];
}

/** The columns of a table that the model takes a row of: `{name, datatype}`; none for another model. */
export function findColumns({ inputs, description = {} }) {
  if (description.columns)
    return description.columns.value.map((name) => ({ name, datatype: inputs[0].datatype }));
  const areColumns = inputs.length > 1 && inputs.every(({ shape }) => shape.length === 2 && shape[1] === 1);
  return areColumns ? inputs : [];
}
