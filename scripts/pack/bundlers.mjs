export async function bundlers() {}
