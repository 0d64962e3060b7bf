// Shows tradeflow's messages to the buyer who is signed in. Paste into the theme (Storefront > Script Manager, all pages, footer):
//   <script src="https://tradeflow.example.com/storefront/messages.js" data-client-id="the app's client id" defer></script>
// data-page (optional) asks for the messages of one page: quote:48002, cart. data-into (optional) is a CSS selector of the
// element that shows them; without it they stand at the top of the page. A theme with a way of its own listens to the event
// "tradeflow:messages" and cancels it.
(function () {
  'use strict';
  var me = document.currentScript;
  var api = me.src.replace(/\/messages\.js.*$/, '/messages');

  function show(messages) {
    var event = new CustomEvent('tradeflow:messages', { detail: messages, cancelable: true });
    if (!document.dispatchEvent(event) || !messages.length) return;
    var into = me.dataset.into ? document.querySelector(me.dataset.into) : null;
    var list = document.createElement('div');
    list.className = 'tradeflow-messages';
    list.setAttribute('role', 'status');
    messages.forEach(function (message) {
      var line = document.createElement('p');
      line.className = 'tradeflow-message tradeflow-' + message.level;
      line.textContent = message.text; // text, never HTML
      list.appendChild(line);
    });
    if (into) into.appendChild(list);
    else document.body.insertBefore(list, document.body.firstChild);
  }

  // The store answers 404 when nobody is signed in: then there is nobody to show anything to.
  fetch('/customer/current.jwt?app_client_id=' + encodeURIComponent(me.dataset.clientId), { credentials: 'same-origin' })
    .then(function (answer) { return answer.ok ? answer.text() : null; })
    .then(function (token) {
      if (!token) return null;
      var page = me.dataset.page ? '?page=' + encodeURIComponent(me.dataset.page) : '';
      return fetch(api + page, { headers: { authorization: 'Bearer ' + token.trim() } });
    })
    .then(function (answer) { return answer && answer.ok ? answer.json() : null; })
    .then(function (body) { if (body) show(body.messages); })
    .catch(function (error) { console.warn('tradeflow messages:', error); });
})();
