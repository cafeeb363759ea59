using Google.Protobuf;
using Kwik.Data;
using Kwik.Sessions;
using Kwik.Streams;
using Kwik.Transfer.Wire;
using Microsoft.Extensions.Logging;

namespace Kwik.Transfer;

/// <summary>
/// Answers the file requests of clients on a primary server, and sends each client to the secondary servers. Safe for
/// concurrent use: one server for all sessions. Does not own the catalog.
/// </summary>
public sealed class FileServer
{
    /// <summary>Longest request: 4 KiB.</summary>
    public const int MaxRequestSize = 4096;

    private readonly FileCatalog _catalog;
    private readonly FileServerOptions _options;
    private readonly ILogger _log;

    /// <summary>Makes a server for the files of a catalog.</summary>
    /// <exception cref="ArgumentException">An option is missing or out of its range.</exception>
    public FileServer(FileCatalog catalog, FileServerOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(catalog);
        _catalog = catalog;
        _options = options ?? new();
        _options.Validate();
        _log = _options.LoggerFactory.CreateLogger<FileServer>();
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
                running.Add(AnswerAsync(session, stream, free, stopping.Token));
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

    /// <summary>One request: 1. read it, 2. find the root of the file, 3. offer it.</summary>
    private async Task AnswerAsync(PrimarySession session, KwikStream stream, SemaphoreSlim free, CancellationToken cancellationToken)
    {
        await using (stream)
        {
            if (!free.Wait(0, CancellationToken.None))
            {
                stream.Abort(KwikError.LimitExceeded);
                return;
            }

            string path = "";
            try
            {
                path = await ReadPathAsync(stream, cancellationToken);
                ContentOffer offer = await _catalog.OfferAsync(path, cancellationToken);
                await stream.OfferContentAsync(offer, cancellationToken);
                TransferLog.FileOffered(_log, session.Id, Printable(path), offer.Length);
            }
            catch (Exception e) when (Classify(e) is { } code)
            {
                stream.Abort(code);
                TransferLog.FileRefused(_log, session.Id, Printable(path), code, e.Message);
            }
            catch
            {
                // A defect: the client is not left to wait, and whoever serves the session gets to see it.
                stream.Abort(KwikError.Internal);
                throw;
            }
            finally
            {
                free.Release();
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

    // A log line is a line, whatever a client asks for.
    private static string Printable(string path) => string.Concat(path.Select(c => char.IsControl(c) ? '?' : c));
}
