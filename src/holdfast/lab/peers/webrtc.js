// One side of a WebRTC call, as a well-made application has it: trickled candidates, signalling that
// comes back, and an ICE restart as soon as the connection is in doubt. See webrtc.py.

const RECORDER = `registerProcessor("ear", class extends AudioWorkletProcessor {
  process([input]) {
    if (input[0]) this.port.postMessage(input[0].slice());
    return true;
  }
})`;
const AGAIN_MS = 1000;
const DOUBT_MS = 2000;

let socket, peer, ears, heard = [], waiting = [], calls = false, doubted = 0;
const settings = {};

function tell(message) {
  const text = JSON.stringify(message);
  if (socket?.readyState === WebSocket.OPEN) socket.send(text);
  else waiting.push(text);
}

function connect() {
  socket = new WebSocket(settings.signalling);
  socket.onopen = () => waiting.splice(0).forEach((text) => socket.send(text));
  socket.onmessage = (event) => hear(JSON.parse(event.data));
  socket.onclose = () => setTimeout(connect, AGAIN_MS);
}

function make() {
  peer?.close();
  peer = new RTCPeerConnection({ iceServers: [settings.server], iceTransportPolicy: "relay" });
  peer.onicecandidate = ({ candidate }) => candidate && tell({ candidate });
  peer.onnegotiationneeded = async () => {
    if (!calls) return;
    await peer.setLocalDescription();
    tell({ description: peer.localDescription });
  };
  peer.oniceconnectionstatechange = () => {
    if (["disconnected", "failed"].includes(peer.iceConnectionState)) doubt();
  };
  peer.ontrack = ({ streams: [stream] }) => listen(stream);
  settings.mouth.getTracks().forEach((track) => peer.addTrack(track, settings.mouth));
}

function doubt() {
  if (Date.now() - doubted < DOUBT_MS) return;
  doubted = Date.now();
  if (calls) peer.restartIce();
  else tell({ restart: true });
  setTimeout(() => {
    if (["disconnected", "failed"].includes(peer.iceConnectionState)) doubt();
  }, DOUBT_MS + 100);
}

async function hear({ description, candidate, restart }) {
  try {
    if (restart && calls) peer.restartIce();
    if (candidate) await peer?.addIceCandidate(candidate);
    if (!description) return;
    if (description.type === "offer" && !peer) make();
    await peer.setRemoteDescription(description);
    if (description.type === "offer") {
      await peer.setLocalDescription();
      tell({ description: peer.localDescription });
    }
  } catch (error) {
    console.warn(String(error)); // of an offer that was overtaken
  }
}

async function listen(stream) {
  const element = new Audio(); // without one nothing of a remote stream is decoded
  element.srcObject = stream;
  element.muted = true;
  element.play();
  ears ??= new AudioContext({ sampleRate: 48000 });
  await ears.audioWorklet.addModule(URL.createObjectURL(new Blob([RECORDER], { type: "text/javascript" })));
  const ear = new AudioWorkletNode(ears, "ear");
  ear.port.onmessage = ({ data }) => {
    heard.push(data);
    if (heard.length > 45000) heard.shift();
  };
  ears.createMediaStreamSource(stream).connect(ear).connect(ears.destination);
}

window.begin = async (signalling, server) => {
  const plain = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
  settings.mouth = await navigator.mediaDevices.getUserMedia({ audio: plain });
  Object.assign(settings, { signalling, server });
  connect();
};
window.connected = () => socket?.readyState === WebSocket.OPEN;
window.ring = () => {
  calls = true;
  make();
};
window.talks = () => peer?.connectionState === "connected";
window.mark = () => {
  heard = [];
};
window.since = () => {
  const samples = new Int16Array(heard.length * 128);
  heard.forEach((piece, at) => piece.forEach((value, n) => (samples[at * 128 + n] = value * 32767)));
  const bytes = new Uint8Array(samples.buffer);
  let text = "";
  for (let at = 0; at < bytes.length; at += 8192) text += String.fromCharCode(...bytes.subarray(at, at + 8192));
  return btoa(text);
};
