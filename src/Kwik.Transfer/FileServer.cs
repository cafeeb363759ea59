using Google.Protobuf;
using Kwik.Data;
using Kwik.Sessions;
using Kwik.Streams;
using Kwik.Transfer.Wire;
using Microsoft.Extensions.Logging;

namespace Kwik.Transfer;

/// <summary>
/// Answers the file requests of clients on a primary server, and sends each client to the secondary servers; writes the access log of
/// either kind of server. Safe for concurrent use: one server for all sessions. Does not own the catalog.
/// </summary>
/// <remarks>
/// The access log has one line for each transfer, at its end, at Information in the category <see cref="AccessCategory"/>: the client's
/// address, the path that it asked for, the content, which bytes this server sent of it, how long that took, and how it ended. What
/// was refused has a line as well. A secondary, which is not told paths, logs one under which it has that content.
/// </remarks>
public sealed class FileServer
{
    /// <summary>Longest request: 4 KiB.</summary>
    public const int MaxRequestSize = 4096;

    /// <summary>The category of the access log: <c>Kwik.Access</c>.</summary>
    public const string AccessCategory = "Kwik.Access";

    private readonly FileCatalog _catalog;
    private readonly FileServerOptions _options;
    private readonly ILogger _log;
    private readonly ILogger _access;
    private int _transfers;
    private volatile bool _acceptsNothing;

    /// <summary>Makes a server for the files of a catalog.</summary>
    /// <exception cref="ArgumentException">An option is missing or out of its range.</exception>
    public FileServer(FileCatalog catalog, FileServerOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(catalog);
        _catalog = catalog;
        _options = options ?? new();
        _options.Validate();
        _log = _options.LoggerFactory.CreateLogger<FileServer>();
        _access = _options.LoggerFactory.CreateLogger(AccessCategory);
    }

    /// <summary>Transfers under way: requests that were accepted, and files that are offered to clients which have not closed their stream.</summary>
    public int Transfers => Volatile.Read(ref _transfers);

    /// <summary>
    /// From now on requests are refused with <see cref="KwikError.ServerClosing"/>; what runs goes on. For a server that is about to stop.
    /// </summary>
    public void StopAccepting() => _acceptsNothing = true;

    /// <summary>Writes the access log of a session on a secondary server until it ends or the token is cancelled.</summary>
    public async Task ServeAsync(SecondarySession session, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(session);
        try
        {
            while (await session.Events.WaitToReadAsync(cancellationToken))
            {
                while (session.Events.TryRead(out SessionEvent? happened))
                {
                    if (happened is ContentClosed closed)
                    {
                        (string path, long length) = _catalog.Describe(closed.Root);
                        Log(session, ServerRole.Secondary, path, length, closed);
                    }
                }
            }
        }
        catch (OperationCanceledException)
        {
            // Somebody else logs from here on, or nobody.
        }
    }

    /// <summary>
    /// Serves one session until it ends or the token is cancelled; returns then, and leaves the session to its owner. A
    /// secondary server that a client cannot be sent to is logged: the files come from the others.
    /// </summary>
    public async Task ServeAsync(PrimarySession session, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(session);
        using var stopping = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        List<Task> running = [.. _options.Secondaries.Select(server => AddAsync(session, server, stopping.Token))];
        using var free = new SemaphoreSlim(_options.MaxRequests);
        try
        {
            while (true)
            {
                KwikStream stream = await session.AcceptStream(stopping.Token);
                running.RemoveAll(task => task.IsCompleted);
                running.Add(AnswerAsync(session, stream, free, stopping.Token, cancellationToken));
            }
        }
        catch (Exception e) when (e is KwikException or OperationCanceledException)
        {
            // The session ended, or is to end.
        }

        await stopping.CancelAsync();
        await Task.WhenAll(running);
    }

    /// <summary>Never throws.</summary>
    private async Task AddAsync(PrimarySession session, SecondaryServer server, CancellationToken cancellationToken)
    {
        try
        {
            int pathId = await session.AddPathAsync(server, cancellationToken);
            TransferLog.SecondaryAdded(_log, session.Id, server.Host, server.Port, pathId);
        }
        catch (KwikException e)
        {
            TransferLog.SecondaryNotAdded(_log, session.Id, server.Host, server.Port, e.Code, e.Message);
        }
        catch (OperationCanceledException)
        {
            // The session ended first.
        }
    }

    /// <summary>One request: 1. see whether there is room for it, 2. answer it, 3. wait until the client has what it wants, 4. log.</summary>
    private async Task AnswerAsync(
        PrimarySession session, KwikStream stream, SemaphoreSlim free, CancellationToken ending, CancellationToken cancellationToken)
    {
        bool isWithin = Interlocked.Increment(ref _transfers) <= _options.MaxConcurrentTransfers;
        bool isFree = isWithin && free.Wait(0, CancellationToken.None);
        try
        {
            KwikError refusal = _acceptsNothing ? KwikError.ServerClosing
                : isFree ? KwikError.None
                : KwikError.LimitExceeded;
            if (refusal != KwikError.None)
            {
                stream.Abort(refusal);
                await stream.DisposeAsync();
                LogRefusal(session, "", refusal);
                return;
            }

            Task<ContentClosed> ended = session.ExpectContentAsync(stream);
            if (await OfferAsync(session, stream, ending) is { } offered)
            {
                // Also of a session that ends: it says then what was sent.
                ContentClosed closed = await ended.WaitAsync(cancellationToken);
                Log(session, ServerRole.Primary, offered.Path, offered.Length, closed);
            }
        }
        catch (OperationCanceledException)
        {
            // Whoever stops this server knows.
        }
        finally
        {
            Interlocked.Decrement(ref _transfers);
            if (isFree)
            {
                free.Release();
            }
        }
    }

    /// <summary>Answers a request: 1. read it, 2. find the root of the file, 3. offer it. Null when it was refused.</summary>
    private async Task<(string Path, long Length)?> OfferAsync(
        PrimarySession session, KwikStream stream, CancellationToken cancellationToken)
    {
        string path = "";
        await using (stream)
        {
            try
            {
                path = await ReadPathAsync(stream, cancellationToken);
                ContentOffer offer = await _catalog.OfferAsync(path, cancellationToken);
                await stream.OfferContentAsync(offer, cancellationToken);
                TransferLog.FileOffered(_log, session.Id, TransferLog.Escaped(path), offer.Length);
                return (path, offer.Length);
            }
            catch (Exception e) when (Classify(e) is { } code)
            {
                stream.Abort(code);
                TransferLog.FileRefused(_log, session.Id, TransferLog.Escaped(path), code, TransferLog.Escaped(e.Message));
                LogRefusal(session, path, code);
                return null;
            }
            catch
            {
                // A defect: the client is not left to wait, and whoever serves the session gets to see it.
                stream.Abort(KwikError.Internal);
                throw;
            }
        }
    }

    private async Task<string> ReadPathAsync(KwikStream stream, CancellationToken cancellationToken)
    {
        var bytes = new byte[MaxRequestSize + 1];
        int length = 0;
        using var timeout = new CancellationTokenSource(_options.RequestTimeout, _options.TimeProvider);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(timeout.Token, cancellationToken);
        try
        {
            for (int read = -1; read != 0 && length < bytes.Length; length += read)
            {
                read = await stream.ReadAsync(bytes.AsMemory(length), either.Token);
            }
        }
        catch (OperationCanceledException) when (timeout.IsCancellationRequested && !cancellationToken.IsCancellationRequested)
        {
            throw Refusal(KwikError.Timeout, $"The request was not complete after {_options.RequestTimeout}.");
        }

        return length <= MaxRequestSize
            ? FileRequest.Parser.ParseFrom(bytes, 0, length).Path
            : throw Refusal(KwikError.LimitExceeded, $"The request is longer than {MaxRequestSize} bytes.");
    }

    /// <summary>
    /// What the client is told; null for what is a defect. A file that may not be read is not there, as far as clients are
    /// concerned.
    /// </summary>
    private static KwikError? Classify(Exception e) => e switch
    {
        KwikException kwik => kwik.Code,
        FileNotFoundException or DirectoryNotFoundException or UnauthorizedAccessException => KwikError.NotFound,
        InvalidProtocolBufferException => KwikError.MetadataProtocolViolation,
        OperationCanceledException or ObjectDisposedException => KwikError.Cancelled,
        IOException => KwikError.Internal,
        _ => null,
    };

    private static KwikException Refusal(KwikError code, string message) => new(code, KwikErrorSide.Remote, message);

    private void LogRefusal(PrimarySession session, string path, KwikError code) =>
        Log(session, ServerRole.Primary, path, 0, new(0, default, 0, 0, 0, 0, TimeSpan.Zero, code));

    private void Log(ServerSession session, ServerRole role, string path, long length, ContentClosed closed)
    {
        if (_access.IsEnabled(LogLevel.Information))
        {
            TransferLog.Transferred(
                _access,
                session.RemoteEndPoint,
                TransferLog.Escaped(path),
                closed.Root == default ? "-" : closed.Root.ToString(),
                closed.Offset,
                closed.End,
                length,
                closed.BytesSent,
                (long)closed.Elapsed.TotalMilliseconds,
                role,
                closed.Error,
                session.Id);
        }
    }
}
