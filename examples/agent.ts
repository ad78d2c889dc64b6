// An agent in TypeScript, with fetch and nothing else: search, recommend, hand the buyer over, wait for the sale.
//
//   AAP_API_URL=http://127.0.0.1:3456 AAP_API_KEY=aap_demo_key node examples/agent.ts     (Node 22.18 or later)

const url = process.env.AAP_API_URL ?? "http://127.0.0.1:3456";
const key = process.env.AAP_API_KEY ?? "aap_demo_key";
const patienceMs = 600_000;

type Offer = { id: string; name: string; price: number; currency: string; aapCode: string };
type Search = { sessionId: string; offers: Offer[]; count: number; expiresAt: string };
type Recommendation = { recommendationId: string; fallbackUrl: string };
type Checkout = { transactionId: string; checkoutUrl: string; status: string };
type Commission = { amount: number; networkFee: number; builderPayout: number; type: string };
type Conversion = { conversionId: string; status: string; transactionValue: number; commission: Commission };
type Session = { session: { status: string }; conversions: Conversion[] };

async function aap<Reply>(path: string, body?: object): Promise<Reply> {
  const response = await fetch(url + path, {
    method: body ? "POST" : "GET",
    headers: { Authorization: `Bearer ${key}`, "Content-Type": "application/json" },
    body: body && JSON.stringify(body),
    redirect: "error", // the API never redirects
    signal: AbortSignal.timeout(30_000),
  });
  const reply = await response.json();
  // Every refusal is {"error": "<text>"}; X-Error-Code has a word for programs.
  if (!response.ok) throw new Error(`${response.status} ${response.headers.get("x-error-code")}: ${reply.error}`);
  return reply as Reply;
}

async function waitForSale(sessionId: string): Promise<Conversion> {
  const deadline = Date.now() + patienceMs;
  for (let pause = 500; Date.now() < deadline; pause = Math.min(pause * 1.5, 15_000)) {
    const [sale] = (await aap<Session>(`/v1/sessions/${sessionId}`)).conversions;
    if (sale) return sale;
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
  throw new Error("Nobody paid.");
}

async function main(): Promise<void> {
  // 1. Search. Offers come by price, never by commission; the session is this buyer's, for 24 hours.
  const query = new URLSearchParams({ vertical: "sim", max_price: "12", data_gb_min: "20", contract_months: "0" });
  const { sessionId, offers } = await aap<Search>(`/v1/offers?${query}`);
  for (const offer of offers) console.log(`${offer.price.toFixed(2).padStart(7)} ${offer.currency}  ${offer.name}`);
  const best = offers[0];
  if (!best) throw new Error("Nothing fits: ask for less.");

  // 2. Recommend one: this is what the commission hangs on. An AAP Code proves the offer's terms to anybody.
  const { valid } = await aap<{ valid: boolean }>("/v1/codes/verify", { code: best.aapCode });
  if (!valid) throw new Error("The offer's code is not genuine.");
  const context = "The cheapest SIM with 20 GB and no contract";
  const { recommendationId } = await aap<Recommendation>("/v1/recommend", { sessionId, offerId: best.id, context });

  // 3. Hand over. The page is the merchant's own: neither agent nor Rako sees a card, and opening it is no sale.
  const { checkoutUrl } = await aap<Checkout>("/v1/checkout", { sessionId, recommendationId });
  console.log(`\n${best.name} costs ${best.price.toFixed(2)} ${best.currency}. Pay here: ${checkoutUrl}`);

  // 4. Wait until the payment processor has told of the payment: nothing else makes a conversion.
  const sale = await waitForSale(sessionId);
  console.log(`Sold for ${sale.transactionValue.toFixed(2)}: conversion ${sale.conversionId} is ${sale.status}.`);
  const { amount, builderPayout } = sale.commission;
  console.log(`Commission ${amount.toFixed(2)}, of which ${builderPayout.toFixed(2)} is yours.`);
}

main().catch((error: Error) => {
  console.error(error.message);
  process.exitCode = 1;
});
