// The page that takes a device's log. Texts of the answer are set as text, never as markup.
'use strict';

const WORDS = {
  en: {
    invite: 'Drop a device log here, or choose a file',
    promise: 'It is read on this server and not kept. Passwords, secrets and tokens never leave it.',
    reading: 'Reading…', failed: 'The log could not be read: ', lines: 'lines',
    remedy: 'Remedy:', next: 'The log alone cannot decide; check next:', other: '中文',
    verdict: { healthy: 'Healthy', fault: 'Fault', incomplete: 'Incomplete: the log ends too early', not_recognised: 'Not recognised: no known device SDK wrote this' },
  },
  zh: {
    invite: '将设备日志拖到此处，或选择文件',
    promise: '仅在本服务器上读取，不保存；密码、密钥与 token 不会出现在结果中。',
    reading: '读取中…', failed: '无法读取日志：', lines: '行',
    remedy: '处理：', next: '仅凭日志无法区分，请依次检查：', other: 'English',
    verdict: { healthy: '正常', fault: '故障', incomplete: '不完整：日志结束过早', not_recognised: '无法识别：不是已知设备 SDK 的日志' },
  },
};

const find = (id) => document.getElementById(id);
let language = navigator.language.startsWith('zh') ? 'zh' : 'en';
let answers = [];

function make(tag, kind, text) {
  const element = document.createElement(tag);
  if (kind) element.className = kind;
  if (text !== undefined) element.textContent = text;
  return element;
}

function finding(item) {
  const words = WORDS[language];
  const card = make('article', `finding ${item.severity}`);
  const title = make('p');
  title.append(make('code', '', item.code), make('span', 'soft', `  ${Math.round(item.confidence * 100)} %  ×${item.count}`));
  card.append(title);
  const quoted = item.evidence.filter((line) => line.text);
  if (quoted.length) {
    card.append(make('pre', '', quoted.map((line) => `${String(line.line).padStart(6)} │ ${line.text}`).join('\n')));
  }
  card.append(make('p', '', `${words.remedy} ${item.remedy[language]}`));
  if (item.next.length && item.severity === 'error') {
    card.append(make('p', 'soft', words.next));
    const list = make('ul');
    for (const step of item.next) list.append(make('li', '', step[language]));
    card.append(list);
  }
  return card;
}

function report(answer) {
  const words = WORDS[language];
  const box = make('section', 'finding');
  if (answer.failure) {
    box.append(make('p', 'verdict fault', words.failed + answer.failure));
    return box;
  }
  for (const file of answer.files) {
    box.append(make('p', 'soft', `${file.path} · ${file.lines} ${words.lines} · ${file.encoding}`));
  }
  box.append(make('p', `verdict ${answer.verdict}`, words.verdict[answer.verdict]));
  for (const device of answer.devices) {
    box.append(make('p', '', [device.key, device.sdk, device.sdk_version].filter(Boolean).join(' · ')));
    const bar = make('ol', 'stages');
    for (const stage of answer.stages.filter((one) => one.device === device.index)) {
      bar.append(make('li', stage.status, stage.line ? `${stage.stage} ${stage.line}` : stage.stage));
    }
    box.append(bar);
  }
  for (const item of answer.findings) box.append(finding(item));
  return box;
}

function show() {
  const words = WORDS[language];
  document.documentElement.lang = language;
  find('invite').textContent = words.invite;
  find('promise').textContent = words.promise;
  find('language').textContent = words.other;
  find('answer').replaceChildren(...answers.map(report));
}

async function diagnose(files) {
  answers = [];
  for (const file of files) {
    find('answer').replaceChildren(make('p', 'soft', WORDS[language].reading));
    try {
      const response = await fetch(`/doctor/diagnose?name=${encodeURIComponent(file.name)}`, { method: 'POST', body: file });
      const body = await response.json();
      answers.push(response.ok ? body : { failure: body.error_code });
    } catch (error) {
      answers.push({ failure: String(error) });
    }
  }
  show();
}

find('language').addEventListener('click', () => { language = language === 'zh' ? 'en' : 'zh'; show(); });
find('file').addEventListener('change', (event) => diagnose(event.target.files));
for (const kind of ['dragover', 'dragleave', 'drop']) {
  find('drop').addEventListener(kind, (event) => {
    event.preventDefault();
    find('drop').classList.toggle('over', kind === 'dragover');
    if (kind === 'drop') diagnose(event.dataTransfer.files);
  });
}
show();
