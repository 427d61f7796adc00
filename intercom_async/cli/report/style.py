"""How the HTML report looks: on a light or a dark screen, on a phone, on paper."""

from typing import Final

STYLE: Final = """
:root {
  color-scheme: light dark;
  --page: #f5f6f8; --card: #fff; --ink: #18202b; --soft: #596575; --line: #e2e6ec; --well: #f1f3f6;
  --detached: #1d9a5f; --already_absent: #1794b4; --conversation_missing: #5a78a8;
  --refused_last_contact: #d28a00; --failed: #d43a4d; --unknown: #8a48c7;
  --attached: #1d9a5f; --not_attempted: #97a1af; --open: #c3cad4;
  --requests: #2f6fe4; --retries: #d28a00; --refusals: #d43a4d; --quota: #18202b;
  --good: #157f4c; --good-soft: #e2f5eb; --bad: #a3530a; --bad-soft: #fdf0dc;
  --shadow: 0 1px 2px #10182810, 0 4px 16px #1018280a;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #0d1117; --card: #151b23; --ink: #e6ebf2; --soft: #98a4b3; --line: #28313c;
    --well: #1c242e; --detached: #3cc283; --already_absent: #41b8d5;
    --conversation_missing: #7d9cce; --refused_last_contact: #e3a63a; --failed: #f0667a;
    --attached: #3cc283; --unknown: #b68cf0; --not_attempted: #6f7b8a; --open: #465260;
    --requests: #5c92f7; --retries: #e3a63a; --refusals: #f0667a; --quota: #e6ebf2;
    --good: #55d398; --good-soft: #12301f; --bad: #f0b95c; --bad-soft: #33260f;
    --shadow: none;
  }
}
* { box-sizing: border-box }
html { -webkit-text-size-adjust: 100% }
body {
  margin: 0; background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
  font-variant-numeric: tabular-nums;
}
main { max-width: 1040px; margin: 0 auto; padding: 40px 24px 56px }
h1 { font-size: 26px; line-height: 1.25; letter-spacing: -.015em; margin: 0 }
h2 { font-size: 16px; letter-spacing: -.005em; margin: 0 0 16px }
p { margin: 0 }
code, .mono {
  font-family: ui-monospace, "SF Mono", SFMono-Regular, Menlo, Consolas, monospace; font-size: .88em
}
.soft { color: var(--soft) }
header { display: flex; gap: 16px; align-items: flex-start; margin-bottom: 28px }
.mark {
  flex: none; width: 44px; height: 44px; border-radius: 50%; margin-top: 1px;
  background: var(--bad-soft); color: var(--bad)
}
.mark.good { background: var(--good-soft); color: var(--good) }
.mark svg { display: block; width: 100%; height: 100% }
.origin {
  color: var(--soft); margin-top: 6px; display: flex; flex-wrap: wrap; gap: 0 18px;
  overflow-wrap: anywhere
}
.origin b { font-weight: 500; color: var(--ink) }
section, .tiles > div {
  background: var(--card); border: 1px solid var(--line); border-radius: 12px;
  box-shadow: var(--shadow)
}
section { padding: 22px 24px; margin-top: 16px }
.tiles { display: grid; grid-template-columns: repeat(6, 1fr); gap: 12px }
.tiles > div { padding: 14px 16px 13px }
.tiles dt { color: var(--soft); font-size: 13px }
.tiles dd { margin: 2px 0 0; font-size: 24px; font-weight: 600; letter-spacing: -.02em;
  line-height: 1.2 }
.tiles u { text-decoration: none; font-size: 15px; font-weight: 500; letter-spacing: 0;
  margin-left: 3px }
.tiles small { display: block; color: var(--soft); font-size: 13px; font-weight: 400;
  letter-spacing: 0; margin-top: 4px; line-height: 1.35 }
.parts { display: flex; gap: 2px; height: 14px; border-radius: 7px; overflow: hidden }
.parts i { min-width: 3px; background: var(--c) }
.parts i.open, .dot.open {
  background: repeating-linear-gradient(135deg, var(--open) 0 4px, transparent 4px 7px)
}
table { border-collapse: collapse; width: 100% }
th { text-align: left; font-weight: 500; color: var(--soft); font-size: 13px }
th, td { padding: 7px 16px 7px 0; vertical-align: baseline }
tr + tr > *, thead + tbody > tr:first-child > * { border-top: 1px solid var(--line) }
th:last-child, td:last-child { padding-right: 0 }
.number { text-align: right; white-space: nowrap }
.outcomes { margin-top: 14px }
.outcomes td:first-child { white-space: nowrap }
.outcomes td:nth-child(2) { font-weight: 600 }
.dot {
  display: inline-block; width: 10px; height: 10px; border-radius: 3px; margin-right: 10px;
  background: var(--c)
}
.remarks { margin: 16px 0 0; padding: 0; list-style: none }
.remarks li {
  padding: 9px 14px; border-radius: 8px; background: var(--well); margin-top: 8px; font-size: 14px
}
.scroll { overflow-x: auto }
.key { display: flex; flex-wrap: wrap; gap: 2px 18px; font-size: 13px; color: var(--soft);
  margin: -8px 0 14px }
.key .dot { margin-right: 6px }
.key .dash { display: inline-block; width: 16px; border-top: 2px dashed var(--quota);
  margin-right: 6px; vertical-align: middle }
.key .dots { display: inline-block; height: 12px; border-left: 1px dashed var(--soft);
  margin-right: 7px; vertical-align: -1px }
.strip { display: grid; grid-template-columns: 82px 1fr; margin-top: 10px }
.strip > .name { font-size: 13px; color: var(--soft); line-height: 1.25; align-self: end;
  padding-right: 10px; white-space: nowrap }
.strip > .name b { display: block; color: var(--ink); font-weight: 500 }
.plot { position: relative; height: 44px; border-bottom: 1px solid var(--line) }
.plot.none { height: 30px }
.plot.tall { height: 220px }
.plot svg { position: absolute; inset: 0; width: 100%; height: 100%; overflow: visible }
.plot path { stroke: none; fill: var(--c) }
.plot path.area { fill-opacity: .85 }
.plot path.quota {
  fill: none; stroke: var(--quota); stroke-width: 1.5; stroke-dasharray: 5 4;
  vector-effect: non-scaling-stroke
}
.plot line { stroke: var(--line); stroke-width: 1; vector-effect: non-scaling-stroke }
.plot line.begin { stroke: var(--soft); stroke-dasharray: 2 3 }
.plot rect { fill: transparent }
.plot rect:hover { fill: var(--ink); fill-opacity: .12 }
.label {
  position: absolute; right: 100%; transform: translateY(-50%); padding-right: 10px;
  font-size: 12px; color: var(--soft); white-space: nowrap
}
.cut {
  position: absolute; top: 0; bottom: 0; display: flex; align-items: center;
  justify-content: center; color: var(--soft); font-size: 11px; white-space: nowrap;
  background: repeating-linear-gradient(135deg, var(--line) 0 1px, transparent 1px 5px)
}
.cut span {
  writing-mode: vertical-rl; transform: rotate(180deg); background: var(--card); padding: 6px 0
}
.times { position: relative; height: 34px; font-size: 12px; color: var(--soft) }
.times span {
  position: absolute; top: 6px; transform: translateX(-50%); white-space: nowrap;
  text-align: center; line-height: 1.25
}
.times span::before {
  content: ""; position: absolute; left: 50%; top: -6px; height: 4px;
  border-left: 1px solid var(--soft)
}
.times .start { transform: none; text-align: left }
.times .start::before { left: 0 }
.times .end { transform: translateX(-100%); text-align: right }
.times .end::before { left: auto; right: 0 }
.cause + .cause { border-top: 1px solid var(--line); margin-top: 20px; padding-top: 20px }
.cause h3 { font-size: 15px; margin: 0; display: flex; flex-wrap: wrap; gap: 4px 12px;
  align-items: baseline; overflow-wrap: anywhere }
.cause h3 > span:last-child { font-weight: 500 }
.tag {
  font-size: 13px; font-weight: 600; border-radius: 6px; padding: 1px 9px; white-space: nowrap;
  color: var(--c); background: color-mix(in srgb, var(--c) 13%, transparent)
}
.pattern {
  background: var(--well); border-radius: 8px; padding: 9px 12px; margin: 10px 0 4px;
  overflow-wrap: anywhere
}
.examples { font-size: 14px }
.examples .ordinal { width: 1%; white-space: nowrap; min-width: 64px }
.examples td, .examples th { padding-top: 5px; padding-bottom: 5px }
.examples td { overflow-wrap: anywhere; min-width: 90px }
.examples .said td { border-top: 0; padding-top: 0; color: var(--soft) }
footer { color: var(--soft); font-size: 13px; margin-top: 24px; max-width: 75ch }
@media (max-width: 980px) {
  .tiles { grid-template-columns: repeat(3, 1fr) }
}
@media (max-width: 640px) {
  main { padding: 24px 14px 40px }
  h1 { font-size: 21px }
  header { gap: 12px; margin-bottom: 20px }
  .mark { width: 36px; height: 36px }
  section { padding: 18px 16px }
  .tiles { grid-template-columns: 1fr 1fr; gap: 8px }
  .tiles > div { padding: 11px 12px }
  .tiles dd { font-size: 21px }
  .outcomes tr { display: grid; grid-template-columns: 1fr auto 64px; padding: 8px 0 }
  .outcomes tr + tr { border-top: 1px solid var(--line) }
  .outcomes td { border: 0; padding: 0 }
  .outcomes td:last-child { grid-column: 1 / -1; font-size: 13px; padding-left: 20px }
  .strip { grid-template-columns: 1fr; padding-left: 32px }
  .strip > .name { padding: 2px 0 3px; margin-left: -32px }
  .strip > .name b { display: inline; margin-right: 6px }
  .plot.none { height: 8px }
  .plot.tall { height: 170px }
  .label { padding-right: 7px; font-size: 11px }
  .examples thead { display: none }
  .examples tr { display: block; padding: 7px 0 }
  .examples tr + tr { border-top: 1px solid var(--line) }
  .examples .said { border: 0; padding-top: 0 }
  .examples tbody tr td {
    display: grid; grid-template-columns: 96px 1fr; border: 0; padding: 1px 0
  }
  .examples td.ordinal { width: auto }
  .examples td[data-name]::before {
    content: attr(data-name); color: var(--soft); font: 13px/1.6 system-ui, sans-serif
  }
  .examples tbody .said td { display: block }
  .examples tbody .said td:first-child { display: none }
  .times .minor { display: none }
}
@media print {
  :root {
    color-scheme: light;
    --page: #fff; --card: #fff; --ink: #000; --soft: #444; --line: #ccc; --well: #f3f3f3;
    --quota: #000; --shadow: none; --good: #157f4c; --good-soft: #e2f5eb; --bad: #a3530a;
    --bad-soft: #fdf0dc;
  }
  body { font-size: 11pt; -webkit-print-color-adjust: exact; print-color-adjust: exact }
  main { padding: 0; max-width: none }
  section, .tiles > div { break-inside: avoid }
  section.long { break-inside: auto }
  .cause, tr { break-inside: avoid }
}
"""
