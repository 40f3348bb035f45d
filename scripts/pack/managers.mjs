export async function managers() {}
