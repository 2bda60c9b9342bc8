// The report as a comment on the pull request: written once, then found again by its marker and edited in place.
'use strict'

const fs = require('node:fs')

const MARKER = '<!-- sway-action:report -->'
const MOST_BYTES = 60 * 1024
const SIGNS = { pass: '✅', warn: '⚠️', fail: '❌' }

// The comment's text: marker, headline, report; no longer than GitHub takes, and it mentions nobody.
function body (markdown, verdict, score) {
  const sign = SIGNS[verdict] || '❔'
  const known = SIGNS[verdict] ? verdict : 'unknown'
  const number = /^\d\.\d+$/.test(score) ? ` · composite ${Number(score).toFixed(2)}` : ''
  const head = `${MARKER}\n## ${sign} sway: ${known}${number}\n\n`
  const quiet = markdown.replaceAll(MARKER, '').replace(/@(?=[A-Za-z0-9])/g, '@\u200b')
  return head + cut(quiet, MOST_BYTES - Buffer.byteLength(head))
}

// The text, or its first lines with a line on what is missing.
function cut (text, most) {
  if (Buffer.byteLength(text) <= most) return text
  const footer = '\n\n… cut at 60 KB; the whole report is in the job’s summary and its artifact.\n'
  const kept = Buffer.from(text).subarray(0, most - Buffer.byteLength(footer)).toString('utf8').replace(/\ufffd+$/, '')
  return kept.slice(0, Math.max(0, kept.lastIndexOf('\n'))) + footer
}

module.exports = async function comment ({ github, context, core }) {
  const { SWAY_MARKDOWN: file, SWAY_VERDICT: verdict, SWAY_SCORE: score } = process.env
  const { owner, repo } = context.repo
  const text = body(fs.readFileSync(file, 'utf8'), verdict, score)
  const issue = { owner, repo, issue_number: context.issue.number }
  try {
    const all = await github.paginate(github.rest.issues.listComments, { ...issue, per_page: 100 })
    const ours = all.find(({ body, user }) => body.startsWith(MARKER) && user.type === 'Bot')
    if (ours) {
      await github.rest.issues.updateComment({ owner, repo, comment_id: ours.id, body: text })
    } else {
      await github.rest.issues.createComment({ ...issue, body: text })
    }
  } catch (error) {
    // a fork's token may not write: the report is in the summary all the same
    core.warning(`the comment was not written: ${error.message}`)
  }
}
module.exports.body = body
