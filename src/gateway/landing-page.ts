import { toHex } from '../codec/index.ts';
import type { SubnetPort } from './contract.ts';

/** Canisters listed on the page; the rest is counted. */
const LISTED_MAX = 100;

/** A page for people who open the network's address in a browser: what runs here and where to go next. */
export function landingPage(subnet: SubnetPort, version: string): string {
  const { state } = subnet.replica;
  const certified = subnet.certified();
  const canisters = [...state.canisters.values()].sort((a, b) => (a.id.key < b.id.key ? -1 : 1));
  const rows = canisters
    .slice(0, LISTED_MAX)
    .map(
      (canister) =>
        `<tr><td><code>${escapeHtml(canister.id.toText())}</code></td><td>${canister.status.kind}</td>` +
        `<td>${canister.code === undefined ? 'empty' : 'installed'}</td></tr>`,
    )
    .join('\n');
  const table =
    canisters.length === 0
      ? '<p>No canister is installed yet. Deploy one: <code>perdure deploy hello.mo</code></p>'
      : `<div class="wide" role="region" aria-label="Canisters" tabindex="0"><table>
<thead><tr><th scope="col">Canister</th><th scope="col">Status</th><th scope="col">Code</th></tr></thead>
<tbody>
${rows}
</tbody></table></div>${canisters.length > LISTED_MAX ? `\n<p>… and ${canisters.length - LISTED_MAX} more.</p>` : ''}`;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Perdure network</title>
<style>
:root { color-scheme: light dark; }
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 46rem; margin: 0 auto; padding: 2rem 1rem; }
h1 { margin-top: 0; } dt { font-weight: 600; } dd { margin: 0 0 .6rem; } code { overflow-wrap: anywhere; }
.wide { overflow-x: auto; } table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid color-mix(in srgb, currentColor 25%, transparent); }
</style>
</head>
<body>
<main>
<h1>A Perdure network runs here</h1>
<p>It speaks the protocol of the Internet Computer: point an agent or a command line tool at this address.</p>
<h2>State</h2>
<dl>
<dt>Health</dt><dd>${certified === undefined ? 'waiting for the first certified state' : 'healthy'}</dd>
<dt>Version</dt><dd>${escapeHtml(version)}</dd>
<dt>Height</dt><dd>${state.height}</dd>
<dt>Subnet</dt><dd><code>${escapeHtml(subnet.subnetId.toText())}</code></dd>
<dt>Root key</dt><dd><code>${toHex(subnet.rootKey)}</code></dd>
</dl>
<h2>Canisters (${canisters.length})</h2>
${table}
<h2>For machines</h2>
<ul>
<li><a href="/api/v2/status">/api/v2/status</a>: status of the network (CBOR)</li>
<li><a href="/health">/health</a>: can this node answer (JSON)</li>
<li><a href="/metrics">/metrics</a>: metrics (Prometheus)</li>
</ul>
</main>
</body>
</html>
`;
}

function escapeHtml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}
