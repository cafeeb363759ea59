using Kwik.Data;

namespace Kwik.Streams;

/// <summary>What kind of condition a call on a public stream met.</summary>
public enum XStreamErrorKind
{
    /// <summary>The network failed.</summary>
    Network,

    /// <summary>The peer broke a rule.</summary>
    Protocol,

    /// <summary>The stream was closed, by this side, or by the peer with an error: there is nothing more to read.</summary>
    StreamClosed,

    /// <summary>The peer has closed the stream, or this side has: nobody takes what is written.</summary>
    BrokenPipe,

    /// <summary>The peer is gone without having closed the stream.</summary>
    ConnectionReset,

    /// <summary>There is no connection: this side has closed the session.</summary>
    NotConnected,

    /// <summary>Something did not happen in its time.</summary>
    Timeout,

    /// <summary>The peer is not who it has to be.</summary>
    Authentication,

    /// <summary>The stream is in a state that does not allow the call.</summary>
    InvalidState,
}

/// <summary>A call on a public stream failed, because of what became of the stream.</summary>
public class XStreamException : KwikException
{
    /// <summary>Makes an exception.</summary>
    public XStreamException(
        XStreamErrorKind kind, KwikError code, KwikErrorSide side, string message, Exception? innerException = null, long? streamId = null)
        : base(code, side, message, innerException, (innerException as KwikException)?.PathId, streamId) => Kind = kind;

    /// <summary>What kind of condition it is.</summary>
    public XStreamErrorKind Kind { get; }

    /// <summary>What a fault is to who reads the stream.</summary>
    internal static XStreamException ForReader(KwikException fault, long streamId) => fault as XStreamException ?? new(
        fault.EndsConnection ? KindOfEnd(fault) : fault.Code switch
        {
            KwikError.AuthenticationFailed => XStreamErrorKind.Authentication,
            KwikError.MetadataProtocolViolation or KwikError.FinalSize or KwikError.Checksum or KwikError.ContentMismatch
                or KwikError.StreamMappingConflict or KwikError.OffsetSyncFailure or KwikError.InvalidStreamRole
                or KwikError.SecondaryStreamIsolation => XStreamErrorKind.Protocol,
            KwikError.Timeout or KwikError.AggregationTimeout => XStreamErrorKind.Timeout,
            KwikError.PathLost => XStreamErrorKind.Network,
            _ => fault.Side == KwikErrorSide.Local ? XStreamErrorKind.StreamClosed : XStreamErrorKind.ConnectionReset,
        },
        fault.Code,
        fault.Side,
        fault.Message,
        fault,
        streamId);

    /// <summary>What a fault is to who writes to the stream: whatever it is, nobody takes what is written.</summary>
    internal static XStreamException ForWriter(KwikException fault, long streamId) => new(
        fault.EndsConnection || fault is XStreamException { Kind: XStreamErrorKind.ConnectionReset or XStreamErrorKind.NotConnected }
            ? KindOfEnd(fault)
            : XStreamErrorKind.BrokenPipe,
        fault.Code,
        fault.Side,
        fault.Message,
        fault,
        streamId);

    /// <summary>What the end of the session is to all that use a stream of it.</summary>
    internal static XStreamException OfSession(KwikException reason, long? streamId = null) =>
        new(KindOfEnd(reason), reason.Code, reason.Side, reason.Message, reason, streamId);

    private static XStreamErrorKind KindOfEnd(KwikException reason) => reason switch
    {
        { Code: KwikError.AuthenticationFailed } => XStreamErrorKind.Authentication,
        { Side: KwikErrorSide.Local } => XStreamErrorKind.NotConnected,
        _ => XStreamErrorKind.ConnectionReset,
    };
}

/// <summary>The peer's application ended the stream with an error.</summary>
public sealed class XStreamFaultException : XStreamException
{
    internal XStreamFaultException(XStreamError fault, KwikError code, long streamId)
        : base(XStreamErrorKind.StreamClosed, code, KwikErrorSide.Remote, $"The peer ended stream {streamId} with an error: {PeerText.Printable(fault.Message)}", null, streamId) =>
        Fault = fault;

    /// <summary>What it said.</summary>
    public XStreamError Fault { get; }
}

/// <summary>What the peer's application said on the error substream.</summary>
/// <param name="IsFault">True when the stream ended with it; false for a notification.</param>
/// <param name="Code">Of the application; 0 where it gave none.</param>
/// <param name="Message">For people.</param>
/// <param name="Details">Opaque; empty where it gave none.</param>
/// <param name="Sequence">Counts what the peer said on this stream, from 1.</param>
public sealed record XStreamError(bool IsFault, ulong Code, string Message, ReadOnlyMemory<byte> Details, long Sequence);
