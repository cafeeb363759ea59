using Kwik.Data;
using Kwik.Data.Wire;

namespace Kwik.Sessions;

/// <summary>The last frame of a session, with the reason for which its sender closes it.</summary>
internal static class SessionGoodbye
{
    /// <summary>Bytes of a reason; what is longer is cut, by either side.</summary>
    public const int MaxReasonSize = 512;

    public static ControlFrame Write(KwikError code, string reason) =>
        new() { SessionClose = new SessionClose { ErrorCode = (ulong)code, Reason = PeerText.Printable(reason, MaxReasonSize) } };

    /// <summary>What it means to the calls of this side.</summary>
    public static KwikException Read(SessionClose close, int? pathId = null)
    {
        KwikError code = QuicErrors.FromWire((long)close.ErrorCode);
        string reason = PeerText.Printable(close.Reason, MaxReasonSize);
        return new(
            code,
            KwikErrorSide.Remote,
            reason.Length > 0 ? $"The peer closed the session: {reason}" : "The peer closed the session.",
            pathId: pathId);
    }
}
