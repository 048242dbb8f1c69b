// What went wrong, in words for the person at the page: what happened, and what they can do.

const UNREACHABLE = "The server cannot be reached. Check that it is running and call again.";

const SOUND = {
  unreachable: UNREACHABLE,
  refused:
    "The microphone is blocked for this page. Allow it in the browser’s address bar and call again, " +
    "or call without it and use the keypad.",
  none: "No microphone was found. Plug one in and call again, or call without it and use the keypad.",
  "in-use": "The microphone is in use by another program. Close that program and call again.",
  insecure:
    "Browsers give the microphone only to pages opened over https:// or on this machine (localhost). " +
    "Open the page there, or call without it and use the keypad.",
  failed: "The sound could not be started in this browser. Reload the page and call again.",
};

export function soundProblem(kind) {
  return SOUND[kind] ?? SOUND.failed;
}

// The message for a closed connection, or an empty text where the call ended as it should.
export function closeProblem({ opened, code, reason }) {
  switch (code) {
    case 1000:
      return "";
    case 1001:
      return "The server is shutting down, so the call was ended. Try again in a minute.";
    case 1008:
      return reason.startsWith("token")
        ? "This server asks for an access token. Enter it and call again."
        : `The server refused the call (${reason}).`;
    case 1011:
      return "Something failed on the server and the call was ended. Please call again.";
    case 1013:
      return `The server cannot take the call now (${reason.replace(/^busy: |; try again later$/g, "")}). Try again in a moment.`;
    default:
      return opened
        ? "The connection to the server was lost. Check the network and call again."
        : UNREACHABLE;
  }
}

export function needsToken({ code, reason }) {
  return code === 1008 && reason.startsWith("token");
}
