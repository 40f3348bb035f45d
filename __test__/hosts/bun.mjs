export const differences = {}
