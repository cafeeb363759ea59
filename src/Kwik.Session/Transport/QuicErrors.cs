using System.Net.Quic;
using System.Net.Sockets;
using System.Security.Authentication;
using Kwik.Data;

namespace Kwik.Sessions;

/// <summary>The one place where the exceptions of System.Net.Quic become Kwik's.</summary>
internal static class QuicErrors
{
    /// <summary>True for what a QUIC call may throw besides a caller's cancellation and mistakes of our own.</summary>
    public static bool IsTransportError(Exception e) =>
        e is QuicException or AuthenticationException or SocketException or ObjectDisposedException;

    /// <summary>
    /// The exception for a failed call; <paramref name="what"/> is a sentence without its full stop,
    /// <paramref name="abortedWith"/> the code with which this side gave up one stream, <paramref name="closedWith"/> the
    /// connection.
    /// </summary>
    public static KwikException Map(Exception e, string what, KwikError? abortedWith = null, KwikError? closedWith = null)
    {
        (KwikError code, KwikErrorSide side, string why) = e switch
        {
            AuthenticationException =>
                (KwikError.AuthenticationFailed, KwikErrorSide.Remote, "the certificate or the protocol was not accepted"),
            ObjectDisposedException or QuicException { QuicError: QuicError.OperationAborted } =>
                (abortedWith ?? closedWith ?? KwikError.Cancelled, KwikErrorSide.Local, "it was closed by this side"),
            SocketException => (KwikError.PathLost, KwikErrorSide.Network, "the address cannot be reached or used"),
            QuicException quic => Classify(quic),
            _ => (KwikError.Internal, KwikErrorSide.Local, "an unexpected error"),
        };
        return new KwikException(code, side, $"{what}: {why}.", e) { EndsConnection = EndsConnection(e, abortedWith is null && closedWith is not null) };
    }

    /// <summary>A peer's application error code; one that this version does not know reads as Internal.</summary>
    public static KwikError FromWire(long? code) =>
        code is { } value ? KwikErrors.FromWire((ulong)value) : KwikError.Internal;

    private static bool EndsConnection(Exception e, bool wasClosedHere) => e switch
    {
        ObjectDisposedException or QuicException { QuicError: QuicError.OperationAborted } => wasClosedHere,
        QuicException quic => quic.QuicError != QuicError.StreamAborted,
        _ => true,
    };

    private static (KwikError Code, KwikErrorSide Side, string Why) Classify(QuicException e) => e.QuicError switch
    {
        // Only a connection can be given up without an error; a stream that is reset has not ended well, whatever its code.
        QuicError.StreamAborted when FromWire(e.ApplicationErrorCode) == KwikError.None =>
            (KwikError.Cancelled, KwikErrorSide.Remote, "the peer gave it up without a reason"),
        QuicError.StreamAborted or QuicError.ConnectionAborted =>
            (FromWire(e.ApplicationErrorCode), KwikErrorSide.Remote, $"the peer gave it up ({FromWire(e.ApplicationErrorCode)})"),
        QuicError.ConnectionTimeout => (KwikError.Timeout, KwikErrorSide.Network, "the peer does not answer"),
        QuicError.ConnectionIdle => (KwikError.Timeout, KwikErrorSide.Network, "nothing was heard of the peer for too long"),
        QuicError.ConnectionRefused => (KwikError.PathLost, KwikErrorSide.Remote, "nobody listens there, or the server is busy"),
        QuicError.VersionNegotiationError or QuicError.TransportError =>
            (KwikError.PathLost, KwikErrorSide.Network, "the QUIC connection failed"),
        QuicError.AlpnInUse => (KwikError.Internal, KwikErrorSide.Local, "the address is in use"),
        _ => (KwikError.Internal, KwikErrorSide.Local, "the QUIC library reported an error of its own"),
    };
}
