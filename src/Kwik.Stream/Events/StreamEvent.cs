using Kwik.Data;

namespace Kwik.Streams;

/// <summary>
/// Something that this side found out about a public stream by itself. What the peer says of it is on the error substream:
/// <see cref="KwikStream.ReadErrorAsync"/>.
/// </summary>
public abstract record StreamEvent;

/// <summary>A server that fills the stream is gone; it may come back. Others are asked for what it owes.</summary>
/// <param name="PathId">The path to it.</param>
/// <param name="Error">Why.</param>
public sealed record PathLost(int PathId, KwikError Error) : StreamEvent;

/// <summary>A server that was lost is there again.</summary>
/// <param name="PathId">The path to it.</param>
public sealed record PathBack(int PathId) : StreamEvent;

/// <summary>A server that fills the stream broke the rules, and is asked for nothing any more.</summary>
/// <param name="PathId">The path to it.</param>
/// <param name="Error">The last rule that it broke.</param>
/// <param name="Reason">For people.</param>
public sealed record SourceIsolated(int PathId, KwikError Error, string Reason) : StreamEvent;

/// <summary>Bytes of offered content that a server was asked for are asked for once more, of any server.</summary>
/// <param name="Offset">The first byte.</param>
/// <param name="Length">Bytes.</param>
/// <param name="PathId">Who did not send them.</param>
/// <param name="Error">Why.</param>
public sealed record PieceFetchedAgain(long Offset, long Length, int PathId, KwikError Error) : StreamEvent;

/// <summary>Bytes that a server was to push will not come from there; the primary's application decides who sends them.</summary>
/// <param name="Offset">The first byte.</param>
/// <param name="Length">Bytes.</param>
/// <param name="PathId">Who was to send them; 0 is the primary itself.</param>
/// <param name="Error">Why.</param>
public sealed record PieceLost(long Offset, long Length, int PathId, KwikError Error) : StreamEvent;

/// <summary>A decision about who sends what, and when it was made.</summary>
/// <param name="At">Since the offer came.</param>
/// <param name="Step">The decision, with what was known of the server at that moment.</param>
public sealed record DeliveryEvent(TimeSpan At, DeliveryStep Step);
