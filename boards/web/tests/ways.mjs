export async function ways() {}
