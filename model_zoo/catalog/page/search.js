"use strict";
// Searching: every word of the query begins a word of the model, and a word that none has leads to near ones.
const makeSearch = (data) => {
  const NAME = 0, ABOUT = 1, TASK = 2, FRAMEWORK = 3, LICENCE = 4, SOURCES = 7;
  const tokens = (text) => text.toLowerCase().split(/[^\p{L}\p{N}.+]+/u).filter(Boolean);
  // Digits after a letter and letters after a digit begin a word too: "resnet50" is found by "50".
  const inner = (token) => [...token.matchAll(/(?<=\p{L})\d|(?<=\d)\p{L}/gu)].map((match) => token.slice(match.index));
  const parent = (task) => data.tasks.indexOf(data.tasks[task].split("/")[0]);
  const wordsOfTask = data.tasks.map((task, index) => [...new Set(tokens(`${task} ${data.words[index]}`))].join(" "));
  const names = data.models.map((m) => m[NAME].toLowerCase());
  // A word is found by "space, beginning": cheaper than comparing lists of words.
  const texts = data.models.map((m, index) => {
    const parts = tokens(`${m[NAME]} ${m[ABOUT]} ${data.frameworks[m[FRAMEWORK]]} ${data.licenses[m[LICENCE]]} ${m[SOURCES].map((s) => data.sources[s]).join(" ")}`).flatMap((token) => [token, ...inner(token)]);
    return ` ${names[index]} ${parts.join(" ")} ${wordsOfTask[m[TASK]]} ${wordsOfTask[parent(m[TASK])]}`;
  });

  const found = (query) => {
    const parts = tokens(query);
    const all = data.models.map((_, index) => index);
    return { parts, found: parts.length ? all.filter((index) => parts.every((part) => texts[index].includes(` ${part}`))) : all };
  };

  // Better names first: the query itself, names that begin with it, names that have its first word.
  const rank = (index, query, parts) => {
    const name = names[index];
    if (name === query) return 0;
    if (name.startsWith(parts[0])) return 1;
    const inName = tokens(name).filter((token) => parts.some((part) => token.startsWith(part))).length;
    return inName ? 4 - Math.min(2, inName) : 5 - (wordsOfTask[data.models[index][TASK]].includes(parts[0]) ? 1 : 0);
  };

  // --- near words, only when nothing is found

  let vocabulary = null;
  const knownWords = () => {
    if (vocabulary) return vocabulary;
    const counts = new Map();
    const add = (word, weight) => {
      if (word.length > 2 && !/^[\d.]+$/.test(word)) counts.set(word, (counts.get(word) || 0) + weight);
    };
    data.models.forEach((m, index) => {
      for (const word of tokens(m[NAME])) add(word, 2);
      for (const word of new Set(texts[index].split(" "))) add(word, 1);
    });
    vocabulary = counts;
    return counts;
  };

  // Edits (of letters added, lost, changed or exchanged) between two words; more than the limit is not told apart.
  const distance = (a, b, limit) => {
    if (Math.abs(a.length - b.length) > limit) return limit + 1;
    let before = [], last = Array.from({ length: b.length + 1 }, (_, i) => i);
    for (let i = 1; i <= a.length; i += 1) {
      const row = [i];
      for (let j = 1; j <= b.length; j += 1) {
        const same = a[i - 1] === b[j - 1] ? 0 : 1;
        row[j] = Math.min(last[j] + 1, row[j - 1] + 1, last[j - 1] + same);
        if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) row[j] = Math.min(row[j], before[j - 2] + 1);
      }
      before = last;
      last = row;
    }
    return last[b.length];
  };

  // Queries in which words that no model has are replaced by near ones, likeliest first.
  const suggestions = (query) => {
    const parts = tokens(query);
    const unknown = parts.filter((part) => !texts.some((text) => text.includes(` ${part}`)));
    if (!unknown.length) return parts.length > 1 ? parts.map((part) => parts.filter((other) => other !== part).join(" ")).filter((other) => other && found(other).found.length).slice(0, 3) : [];
    const [wrong] = unknown;
    const limit = wrong.length < 5 ? 1 : wrong.length < 9 ? 2 : 3;
    const near = [];
    for (const [word, count] of knownWords()) {
      // as far as it was typed: "mobilnet" is near the beginning of "mobilenetv2" too
      const begins = [0, 1].map((more) => distance(wrong, word.slice(0, wrong.length + more), limit) + 0.5);
      const away = Math.min(distance(wrong, word, limit), ...begins);
      if (away <= limit) near.push([away, -count, word]);
    }
    near.sort((a, b) => a[0] - b[0] || a[1] - b[1]);
    const rest = (word) => parts.map((part) => (part === wrong ? word : part)).filter((part) => part === word || !unknown.includes(part)).join(" ");
    const queries = [];
    for (const [, , word] of near) {
      const other = rest(word);
      // "mobilenet" also finds what "mobilenetv2" does
      if (queries.length < 3 && !queries.some((one) => other.startsWith(one)) && found(other).found.length) queries.push(other);
    }
    return queries;
  };

  return { found, rank, suggestions };
};
