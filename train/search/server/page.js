// The search page. All text that comes from anywhere is set as text, never as HTML.
const $ = id => document.getElementById(id);
const STEP = 40, MOST = 240, PAUSE_MS = 300;
let picture = null;   // a Blob that is searched by
let like = null;      // or an indexed picture: {id, caption}
let num = STEP, hits = [], open = -1, asked = 0, timer = 0, waiting = null;

const make = (tag, text, name) => {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  if (name) made.className = name;
  return made;
};

const clock = seconds => {
  const [h, m, s] = [seconds / 3600, seconds / 60 % 60, seconds % 60].map(Math.floor);
  return `${h ? `${h}:${String(m).padStart(2, '0')}` : m}:${String(s).padStart(2, '0')}`;
};

const say = (text, bad = false) => {
  $('status').textContent = text;
  $('status').classList.toggle('bad', bad);
};

const state = () => {
  const parts = {q: $('words').value.trim(), minus: $('minus').value.trim()};
  if (like) parts.like = like.id;
  if ((like || picture) && parts.q && $('weight').value !== '0.5') parts.weight = $('weight').value;
  return new URLSearchParams(Object.entries(parts).filter(([, value]) => value));
};

function showPicture() {
  const chip = $('chip'), shown = $('asked');
  if (shown.src.startsWith('blob:')) URL.revokeObjectURL(shown.src);
  chip.hidden = !picture && !like;
  if (picture) shown.src = URL.createObjectURL(picture);
  else if (like) shown.src = `/thumbnail/${like.id}`;
  else shown.removeAttribute('src');
  $('asked-name').textContent = picture ? picture.name || 'your picture' : like ? like.caption || 'this picture' : '';
  $('mix').hidden = chip.hidden || !$('words').value.trim();
}

async function search({push = true, more = false} = {}) {
  clearTimeout(timer);
  if (!more) num = STEP;
  showPicture();
  const parameters = state(), number = ++asked;
  const address = parameters.size ? `/?${parameters}` : '/';
  if (push && address !== location.pathname + location.search) history.pushState({like}, '', address);
  parameters.set('num', num);
  waiting?.abort();
  waiting = new AbortController();
  document.body.classList.add('busy');
  const options = {signal: waiting.signal};
  if (picture) Object.assign(options, {method: 'POST', body: picture, headers: {'Content-Type': picture.type || 'image/x'}});
  try {
    const response = await fetch(`/search?${parameters}`, options);
    const answer = await response.json();
    if (number !== asked) return;
    if (!response.ok) return say(`${answer.error}.`, true);
    show(answer, more);
  } catch (error) {
    if (error.name !== 'AbortError') say('The server does not answer.', true);
  } finally {
    if (number === asked) document.body.classList.remove('busy');
  }
}

function show(answer, more) {
  const before = more ? hits.length : 0;
  hits = answer.results;
  const total = answer.num_pictures.toLocaleString('en');
  const searched = state().size || picture;
  say(!hits.length ? `Nothing found among ${total} pictures.` : searched
    ? `${hits.length} nearest of ${total} pictures, ${answer.ms} ms` : `Some of ${total} pictures`);
  if (!more) $('grid').replaceChildren();
  $('grid').append(...hits.slice(before).map((hit, place) => tile(hit, before + place)));
  $('rest').hidden = !searched || hits.length < num || num >= MOST;
  if (more) $('grid').children[before]?.firstChild.focus();
  else scrollTo(0, 0);
}

function tile(hit, place) {
  const item = make('li'), button = make('button'), shown = make('img');
  button.type = 'button';
  shown.loading = place < 24 ? 'eager' : 'lazy';
  shown.decoding = 'async';
  shown.src = `/thumbnail/${hit.id}`;
  shown.alt = '';
  shown.width = shown.height = 184;
  const notes = [hit.score ? hit.score.toFixed(3) : null, hit.licence, hit.num_duplicates ? `+${hit.num_duplicates} copies` : null];
  button.append(shown, make('span', hit.caption || 'no caption', 'words'), make('span', notes.filter(Boolean).join(' · ') || '\u00a0', 'note'));
  if (hit.time_s !== null) button.append(make('span', clock(hit.time_s), 'time'));
  button.addEventListener('click', () => detail(place));
  item.append(button);
  return item;
}

function link(address) {
  if (!/^https?:\/\//i.test(address)) return document.createTextNode(address);
  const made = make('a', address);
  made.href = address;
  made.target = '_blank';
  made.rel = 'noopener noreferrer nofollow';
  return made;
}

function detail(place) {
  const hit = hits[place];
  open = place;
  $('large').src = `/picture/${hit.id}`;
  $('large').alt = hit.caption || '';
  $('caption').textContent = hit.caption || 'no caption';
  const known = [
    ['At', hit.time_s === null ? null : `${clock(hit.time_s)} of ${hit.file}`],
    ['Licence', hit.licence || (hit.source === 'folder' && !hit.url ? null : 'none known')],
    ['Author', hit.author],
    ['Page', hit.page_url],
    ['Picture', hit.url],
    ['Source', hit.source],
    ['Size', hit.width ? `${hit.width} × ${hit.height} px` : null],
    ['Copies', hit.num_duplicates ? `${hit.num_duplicates} dropped in its stead` : null],
    ['Captions of copies', hit.extra_captions.join(' · ') || null],
    ['File', hit.time_s === null ? hit.file : null],
    ['Key', hit.key],
  ];
  $('facts').replaceChildren(...known.filter(([, value]) => value).map(([name, value]) => {
    const row = make('div'), told = make('dd');
    told.append(link(String(value)));
    row.append(make('dt', name), told);
    return row;
  }));
  $('why').href = `/why/${hit.id}`;
  $('before').disabled = place === 0;
  $('after').disabled = place === hits.length - 1;
  if (!$('dialog').open) $('dialog').showModal();
}

function close() {
  $('dialog').close();
}

function step(by) {
  if (hits[open + by]) detail(open + by);
}

function searchBy(file) {
  if (!file) return;
  if (!file.type.startsWith('image/')) return say('This is no picture.', true);
  [picture, like] = [file, null];
  search();
}

function later() {
  clearTimeout(timer);
  timer = setTimeout(search, PAUSE_MS);
}

function moveIn(grid, event) {
  const tiles = [...grid.querySelectorAll('button')], place = tiles.indexOf(document.activeElement);
  if (place < 0) return;
  const top = tiles[0].getBoundingClientRect().top;
  const columns = Math.max(1, tiles.findIndex(t => t.getBoundingClientRect().top > top + 1));
  const steps = {ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns};
  const next = event.key === 'Home' ? tiles[0] : event.key === 'End' ? tiles.at(-1) : tiles[place + steps[event.key]];
  if (!next) return;
  event.preventDefault();
  next.focus();
}

async function restore() {
  const parts = new URLSearchParams(location.search), id = parts.get('like');
  $('words').value = parts.get('q') || '';
  $('minus').value = parts.get('minus') || '';
  $('weight').value = parts.get('weight') || '0.5';
  picture = null;
  like = id && (history.state?.like || {id, caption: ''});
  await search({push: false});
}

$('form').addEventListener('submit', event => { event.preventDefault(); search(); });
for (const id of ['words', 'minus']) $(id).addEventListener('input', later);
$('weight').addEventListener('input', later);
$('file').addEventListener('change', () => { searchBy($('file').files[0]); $('file').value = ''; });
$('drop').addEventListener('click', () => { picture = like = null; search(); $('words').focus(); });
$('rest').addEventListener('click', () => { num = Math.min(MOST, num + STEP); search({push: false, more: true}); });
$('close').addEventListener('click', close);
$('before').addEventListener('click', () => step(-1));
$('after').addEventListener('click', () => step(1));
$('like').addEventListener('click', () => {
  const hit = hits[open];
  close();
  [picture, like] = [null, {id: hit.id, caption: hit.caption}];
  $('words').value = '';
  search();
});
$('dialog').addEventListener('click', event => { if (event.target === $('dialog')) close(); });
$('dialog').addEventListener('close', () => { $('grid').children[open]?.firstChild.focus(); $('large').removeAttribute('src'); });
$('dialog').addEventListener('keydown', event => {
  if (event.key === 'ArrowLeft') step(-1);
  if (event.key === 'ArrowRight') step(1);
});
$('grid').addEventListener('keydown', event => {
  if (/^(Arrow|Home|End)/.test(event.key)) moveIn($('grid'), event);
});
document.addEventListener('keydown', event => {
  const typing = /^(INPUT|TEXTAREA)$/.test(document.activeElement?.tagName);
  if (event.key === '/' && !typing && !$('dialog').open) { event.preventDefault(); $('words').select(); }
  if (event.key === 'ArrowDown' && document.activeElement === $('words')) {
    event.preventDefault();
    $('grid').querySelector('button')?.focus();
  }
});
document.addEventListener('paste', event => {
  const file = [...event.clipboardData.files].find(each => each.type.startsWith('image/'));
  if (file) { event.preventDefault(); searchBy(file); }
});
document.addEventListener('dragover', event => { event.preventDefault(); document.body.classList.add('over'); });
document.addEventListener('dragleave', event => { if (!event.relatedTarget) document.body.classList.remove('over'); });
document.addEventListener('drop', event => {
  event.preventDefault();
  document.body.classList.remove('over');
  searchBy(event.dataTransfer.files[0]);
});
addEventListener('popstate', restore);
restore();
