using Kwik.Data;
using Kwik.Sessions;
using Kwik.Streams;

namespace Kwik.Session.Tests.Rows;

/// <summary>One side of a session, with its end of the public stream that a row of the table is tried on.</summary>
internal sealed record StreamEnd
{
    public required KwikStream Stream { get; init; }

    /// <summary>Closes the session as its application would.</summary>
    public required Func<KwikError, string, Task> CloseSessionAsync { get; init; }

    public required Func<Task<KwikStream>> OpenAsync { get; init; }

    public required Func<Task<KwikStream>> AcceptAsync { get; init; }

    /// <summary>Ends the session as fast as this side can.</summary>
    public required Action EndSession { get; init; }

    /// <summary>Takes this side away without a word of the session; the other one finds out.</summary>
    public required Action Vanish { get; init; }

    public static StreamEnd Of(ClientSession session, KwikStream stream, Action vanish) => new()
    {
        Stream = stream,
        CloseSessionAsync = (code, reason) => session.CloseAsync(code, reason).AsTask(),
        OpenAsync = () => session.OpenStreamSync(),
        AcceptAsync = () => session.AcceptStream(),
        EndSession = () => _ = session.DisposeAsync().AsTask(),
        Vanish = vanish,
    };

    public static StreamEnd Of(PrimarySession session, KwikStream stream, Action vanish) => new()
    {
        Stream = stream,
        CloseSessionAsync = (code, reason) => session.CloseAsync(code, reason).AsTask(),
        OpenAsync = () => session.OpenStreamSync(),
        AcceptAsync = () => session.AcceptStream(),
        EndSession = session.Stop,
        Vanish = vanish,
    };
}
